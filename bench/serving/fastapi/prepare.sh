#!/usr/bin/env bash
# Makes what the comparison needs below OUT: the base in Hugging Face's naming (hf), N adapters for melo (melo) and the
# same for PEFT (peft), from a base and the program.
set -euo pipefail
[ $# = 4 ] || { echo "usage: prepare.sh MELO BASE OUT N" >&2; exit 2; }
melo=$1 base=$2 out=$3 n=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
mkdir -p "$out"
[ -d "$out/hf" ] || "$melo" convert --to hf "$base" "$out/hf"
(cd "$here" && go run ./bench/serving/adapters -base "$out/hf" -out "$out/melo" -n "$n")
for file in "$out"/melo/*.safetensors; do
	name=$(basename "$file" .safetensors)
	[ -d "$out/peft/$name" ] && continue
	mkdir -p "$out/peft"
	"$melo" convert --to peft "$file" "$out/peft/$name" >/dev/null
	printf 'class %d\n' 0 1 2 >"$out/peft/$name/labels.txt"
done
