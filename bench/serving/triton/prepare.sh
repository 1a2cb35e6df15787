#!/usr/bin/env bash
# Makes what the comparison needs below OUT: base and N + 1 adapters for melo (the last one is added while the servers
# run), one whole ONNX model for each, and the images as tensors. PYTHON has the packages of requirements-export.txt.
set -euo pipefail
[ $# = 6 ] || { echo "usage: prepare.sh MELO PYTHON BASE OUT N IMAGES" >&2; exit 2; }
melo=$1 python=$2 base=$3 out=$4 n=$5 images=$6
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$here/../fastapi/prepare.sh" "$melo" "$base" "$out" $((n + 1))
"$python" "$here/export.py" --base "$out/hf" --adapters "$out/peft" --out "$out/triton" --images "$images"
