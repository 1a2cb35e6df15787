#!/usr/bin/env bash
# Baselines of speed in Go's benchmark format: bench/baselines.txt.
#
#   bench/baselines.sh measure    writes the file anew
#   bench/baselines.sh compare    measures again and compares with the file (benchstat)
#
# Run it on a machine without other work. The file says on which CPU it was made; on another one the ratios say nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
file=bench/baselines.txt
benchstat=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

measure() {
	# Kernels, a forward pass and a step of ViT-Ti/16, a request to the server, decoding and preparing images.
	CGO_ENABLED=0 go test -run '^$' -count "${COUNT:-8}" -benchtime "${BENCHTIME:-300ms}" \
		-bench '^Benchmark(Rows|Attention|Forward|Step|Predict|Apply|DecodeJPEG|DecodePNG|Epoch|Float32s)$' \
		./internal/kernel ./bench/machine ./serve ./imaging ./dataset ./safetensors
}

case ${1:-} in
measure) measure | grep -vE '^(PASS|ok)' >"$file.new" && mv "$file.new" "$file" ;;
compare)
	now=$(mktemp)
	trap 'rm -f "$now"' EXIT
	measure >"$now"
	go run "$benchstat" "$file" "$now"
	;;
*) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
