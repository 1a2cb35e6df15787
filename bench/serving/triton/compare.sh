#!/usr/bin/env bash
# melo serve and Triton in one run: the same models by their logits, the same requests by the same load generator, taking
# turns (A B, B A, A B). DIR is what prepare.sh made; PYTHON has the packages of requirements.txt. Everything that is
# started is stopped. The last lines are tables in Markdown; results are files in DIR/triton/results.
set -euo pipefail
usage="usage: compare.sh MELO PYTHON DIR [--seconds 10] [--warm 2] [--rounds 3] [--clients '1 8'] [--adapters '1 4']
       [--protocols 'grpc rest'] [--servers 'melo triton-python'] [--onnxruntime FOLDER] [--port 18080]

SERVERS are of melo (float32), melo-bf16, melo-int8, triton-python and triton-onnx. FOLDER is the backend
backends/onnxruntime of a Triton installation of the same version; with it triton-onnx is measured, too."
wrong() { echo "$usage" >&2; exit 2; }
[ $# -ge 3 ] || wrong
melo=$(realpath "$1") python=$2 dir=$(realpath "$3")
shift 3
seconds=10 warm=2 rounds=3 clients="1 8" adapters="1 4" protocols="grpc rest" servers= onnxruntime= port=18080
while [ $# -gt 0 ]; do
	[ $# -ge 2 ] || wrong
	case $1 in
	--seconds | --warm | --rounds | --clients | --adapters | --protocols | --servers | --onnxruntime | --port) declare "${1#--}=$2" ;;
	*) wrong ;;
	esac
	shift 2
done
servers=${servers:-melo triton-python${onnxruntime:+ triton-onnx}}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../peers/server.sh"
grpc=127.0.0.1:$((port + 1)) url=http://127.0.0.1:$port
tensors=$dir/triton/tensors results=$dir/triton/results
work=$(mktemp -d "$dir/triton/run.XXXXXX")
trap 'stop; rm -rf "$work"' EXIT
rm -rf "$results"
mkdir "$results"
(cd "$here/../../.." && go build -o "$work/load" ./bench/serving/load)

name() { printf 'task-%04d' "$1"; }

# free PORT: an answer of somebody else's server would be measured.
free() {
	if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
		echo "port $1 is taken" >&2
		exit 1
	fi
}

# run_melo PRECISION N: melo with the first N adapters.
run_melo() {
	for ((i = 0; i < $2; i++)); do cp "$dir/melo/$(name "$i").safetensors" "$work/models/"; done
	start "$results/melo.log" "$melo" serve --base "$dir/hf" --adapters "$work/models" --precision "$1" --listen "127.0.0.1:$port" --grpc-listen "$grpc"
}

# run_triton KIND N: Triton with the first N models.
run_triton() {
	local names=()
	for ((i = 0; i < $2; i++)); do
		cp -rl "$dir/triton/$1/$(name "$i")" "$work/models/"
		names+=("$(name "$i")")
	done
	start "$results/triton-$1.log" "$python" "$here/server.py" --models "$work/models" --load "${names[@]}" --run "$work" \
		${onnxruntime:+--onnxruntime "$onnxruntime"} --port "$port" --grpc-port "$((port + 1))"
}

# begin SERVER N: starts it with N adapters. Its models are where add finds them.
begin() {
	free "$port"
	free "$((port + 1))"
	rm -rf "$work/models"
	mkdir "$work/models"
	case $1 in
	melo) run_melo f32 "$2" ;;
	melo-*) run_melo "${1#melo-}" "$2" ;;
	triton-*) run_triton "${1#triton-}" "$2" ;;
	*) wrong ;;
	esac
	await "$url/v2/health/ready"
}

# verify SERVER N: float32 only; what is narrower differs by more, and says so in its own tables.
verify() {
	local names=()
	for ((i = 0; i < $2; i++)); do names+=("$(name "$i")"); done
	case $1 in melo-*) return ;; esac
	"$python" "$here/ask.py" check --url "$url" --tensors "$tensors" --reference "$results/logits.json" "${names[@]}"
}

# measure SERVER N ROUND. ONNX Runtime's answers vary in the last bits with the size of the batch.
measure() {
	for protocol in $protocols; do
		local target=$url
		[ "$protocol" = grpc ] && target=$grpc
		for c in $clients; do
			"$work/load" -protocol "$protocol" -target "$target" -adapters "task-%04d:$2" -images "$tensors/*.f32" -tensors -tolerance 1e-4 \
				-clients "$c" -warm "${warm}s" -duration "${seconds}s" -seed "$3" -out "$results/load.$1.$2.$protocol.$c.$3.json" >/dev/null
			echo "   $protocol, $c clients: $(grep answers_per_second "$results/load.$1.$2.$protocol.$c.$3.json")"
		done
	done
}

# add SERVER N ROUND: one adapter more than N, the last that prepare.sh made.
add() {
	local extra from
	extra=$(basename "$(find "$dir/melo" -name 'task-*.safetensors' | sort | tail -n 1)" .safetensors)
	case $1 in
	melo*) from=$dir/melo/$extra.safetensors ;;
	*) from=$dir/triton/${1#triton-}/$extra ;;
	esac
	"$python" "$here/ask.py" add --url "$url" --tensors "$tensors" --pid "$server" "$extra" "$from" "$work/models" >"$results/add.$1.$2.$3.json"
}

# turn SERVER N ROUND
turn() {
	echo "== round $3: $1, $2 adapters" >&2
	begin "$1" "$2"
	verify "$1" "$2" >&2
	measure "$1" "$2" "$3" >&2
	"$python" "$here/ask.py" memory --pid "$server" >"$results/memory.$1.$2.$3.json"
	add "$1" "$2" "$3"
	stop
}

reversed=$(tr ' ' '\n' <<<"$servers" | tac | tr '\n' ' ')
for ((round = 1; round <= rounds; round++)); do
	order=$servers
	((round % 2)) || order=$reversed
	for n in $adapters; do
		for s in $order; do turn "$s" "$n" "$round"; done
	done
done
"$python" "$here/table.py" "$results" "$dir/triton/export.json"
