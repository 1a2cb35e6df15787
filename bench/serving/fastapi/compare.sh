#!/usr/bin/env bash
# melo serve and the FastAPI peer in one run: the same images, the same adapters, taking turns. DIR is what prepare.sh
# made. Results are files in DIR/results. PARTS, PROTOCOLS and WARM in the environment choose less.
set -euo pipefail
usage="usage: compare.sh MELO PYTHON DIR IMAGES SECONDS [CLIENTS...]"
[ $# -ge 5 ] || { echo "$usage" >&2; exit 2; }
melo=$1 python=$2 dir=$3 images=$4 seconds=$5
shift 5
clients=("${@:-1}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
n=$(find "$dir/melo" -name '*.safetensors' | wc -l)
load=$(mktemp)
(cd "$here" && go build -o "$load" ./bench/serving/load)
mkdir -p "$dir/results"
. "$here/bench/serving/peers/server.sh"
trap 'stop; rm -f "$load"' EXIT

# measure NAME PROTOCOL TARGET: with each number of clients.
measure() {
	for c in "${clients[@]}"; do
		echo "== $1, $2, $c clients"
		"$load" -protocol "$2" -target "$3" -adapters "task-%04d:$n" -images "$images" -clients "$c" -warm "${WARM:-2s}" -duration "${seconds}s" \
			-out "$dir/results/$1-$2-$c.json" | grep -E 'answers_per_second|p50|p95|p99|failed'
	done
}

# melo PRECISION
serve() {
	start "$dir/results/melo.log" "$melo" serve --base "$dir/hf" --adapters "$dir/melo" --precision "$1" --listen 127.0.0.1:18080 --grpc-listen 127.0.0.1:18081
	await http://127.0.0.1:18080/readyz
	for protocol in ${PROTOCOLS:-form grpc}; do
		case $protocol in
		grpc) measure "melo-$1" grpc 127.0.0.1:18081 ;;
		*) measure "melo-$1" "$protocol" http://127.0.0.1:18080 ;;
		esac
	done
	stop
}

# peer NAME OPTION...
peer() {
	local name=$1
	shift
	start "$dir/results/$name.log" "$python" "$here/bench/serving/fastapi/peer.py" --base "$dir/hf" --adapters "$dir/peft" --port 18000 "$@"
	await http://127.0.0.1:18000/readyz
	measure "$name" form http://127.0.0.1:18000
	stop
}

for part in ${PARTS:-serve-f32 peer serve-bf16 peer-bf16 peer-mixed}; do
	case $part in
	serve-*) serve "${part#serve-}" ;;
	peer) peer fastapi ;;
	peer-bf16) peer fastapi-bf16 --bf16 ;;
	peer-mixed) peer fastapi-mixed --mixed ;;
	esac
done
