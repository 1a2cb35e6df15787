# For the comparisons to source: one server at a time, which ends when the script ends, however it does.
server=

# start LOG COMMAND...
start() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 &
	server=$!
	server_log=$log
}

# await URL: until the server answers.
await() {
	for _ in $(seq 900); do
		if curl -sf "$1" >/dev/null; then return; fi
		if ! kill -0 "$server" 2>/dev/null; then
			echo "the server has ended:" >&2
			tail -n 20 "$server_log" >&2
			exit 1
		fi
		sleep 0.2
	done
	echo "$1 does not answer" >&2
	exit 1
}

# stop ends the server; one that does not listen is killed.
stop() {
	[ -n "$server" ] || return 0
	kill "$server" 2>/dev/null || true
	for _ in $(seq 150); do
		kill -0 "$server" 2>/dev/null || break
		sleep 0.2
	done
	kill -9 "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	server=
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
