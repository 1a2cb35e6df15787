#!/usr/bin/env bash
# melo beside PyTorch, ONNX Runtime and OpenVINO: bash bench/compare/run.sh [options of compare.py]
#
# PYTHON names an interpreter that has the packages of requirements.txt. Without it, they are installed
# once into a virtual environment: VENV, or bench/compare/.venv.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ -z "${PYTHON:-}" ]; then
	venv=${VENV:-$here/.venv}
	if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
		python3 -m venv "$venv"
		"$venv/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
		cp "$here/requirements.txt" "$venv/installed.txt"
	fi
	PYTHON=$venv/bin/python
fi
exec python3 "$here/compare.py" --python "$PYTHON" "$@"
