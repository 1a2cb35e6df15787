#!/usr/bin/env bash
# Runs the program as the container image would, without a container engine: on a root that holds what the last stage
# of the Dockerfile copies, mounted read-only, as its user, without capabilities, without a network but loopback. Needs
# root on Linux, for namespaces. An engine's own checks (layers, entry point, health) are left to it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ "$(id -u)" = 0 ] || { echo "needs root: mount namespaces"; exit 1; }

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/root/etc/ssl/certs" "$dir/root/adapters" "$dir/adapters"
CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o "$dir/root/melo" ./cmd/melo
cp LICENSE "$dir/root/LICENSE"
go run ./tools/licences > "$dir/root/THIRD_PARTY_LICENCES.txt"
[ ! -f /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$dir/root/etc/ssl/certs/"
if command -v file >/dev/null; then file "$dir/root/melo" | grep -q 'statically linked' || { echo "melo is not static"; exit 1; }; fi

# The adapters are made outside, as a user's would be, and mounted.
"$dir/root/melo" demo --write "$dir/pictures" --pictures 60 --tasks tb
"$dir/root/melo" train --base embedded --data "$dir/pictures/tb" --out "$dir/adapters/tb.safetensors" --epochs 1
cp "$dir"/pictures/tb/test/normal/*.png "$dir/adapters/" 2>/dev/null
image=$(basename "$(ls "$dir"/adapters/*.png | head -1)")
chmod -R a+rX "$dir"

inside() { # a command of melo on the read-only root, as nobody
	unshare --mount --net --pid --fork bash -c '
		set -e
		root=$1; adapters=$2; shift 2
		ip link set lo up 2>/dev/null || true
		mount --bind "$root" "$root"
		mount --bind "$adapters" "$root/adapters"
		mount -o remount,ro,bind "$root/adapters"
		mount -o remount,ro,bind "$root"
		exec env -i HOME=/ XDG_CACHE_HOME=/cache SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
			"$(command -v chroot)" --userspec=65532:65532 --groups= "$root" /melo "$@"' - "$dir/root" "$dir/adapters" "$@"
}
echo "== version, doctor"
inside version
inside doctor
echo "== inspect, predict"
inside inspect embedded
inside predict --adapter /adapters/tb.safetensors "/adapters/$image"
echo "== a folder that cannot be written to is said to be one"
if inside demo --fast --out /demo; then echo "the root could be written to"; exit 1; fi
echo "== serve"
timeout --signal=TERM 12 bash -c "$(declare -f inside); dir='$dir'; inside serve --base embedded --adapters /adapters --grpc-listen off" >"$dir/log" 2>&1 || true
cat "$dir/log"
grep -q 'tb' "$dir/log" || { echo "the server did not start"; exit 1; }
echo "== done"
