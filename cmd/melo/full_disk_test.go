package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// onFullDisk runs in a name space of its own, so that it may mount: a disk of 1 MiB of which $3 KiB are free, a training
// ($1, on it at $2) that runs out of room, and, when there is room, the same training again. The adapter goes to $4.
const onFullDisk = `
mount -t tmpfs -o size=1024k none "$2" || exit 77
dd if=/dev/zero of="$2/filler" bs=1k count=$((1024 - $3)) 2>/dev/null
program="$1"; disk="$2"; adapter="$4"; shift 4
"$program" "$@"; echo "first $?"
ls -A "$disk" "$disk"/*.run 2>/dev/null
rm "$disk/filler"
"$program" "$@" --resume; echo "second $?"
cp "$disk/a.safetensors" "$adapter"
`

// TestFullDisk: training on a disk without room, for the record, for the checkpoint, or for the adapter, says so, leaves
// no half of a file, and is finished once there is room.
func TestFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux's name spaces")
	}
	if testing.Short() {
		t.Skip("runs the program a dozen times")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	data := trainingSet(t, 2, 12)
	whole := trained(t, data, "--patience", "0")
	info, err := os.Stat(whole)
	if err != nil {
		t.Fatal(err)
	}
	size := int(info.Size()+1023) / 1024
	failed := 0
	for _, free := range []int{0, 4, 8, 12, size, 2 * size, 3 * size} {
		disk, adapter := t.TempDir(), filepath.Join(t.TempDir(), "a.safetensors")
		args := append([]string{"-rm", "sh", "-c", onFullDisk, "sh", path, disk, fmt.Sprint(free), adapter}, trainArgs(data, filepath.Join(disk, "a.safetensors"), "--patience", "0")...)
		var out, errs bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "unshare", args...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		var exit *exec.ExitError
		if errors.Is(err, exec.ErrNotFound) || errors.As(err, &exit) && !strings.Contains(out.String(), "first") {
			t.Skipf("no name spaces here: %v %s", err, errs.String())
		}
		text := out.String()
		switch {
		case strings.Contains(text, "first 1\n"):
			failed++
			if !strings.Contains(errs.String(), "no space left on device") || !strings.Contains(errs.String(), disk) {
				t.Errorf("%d KiB free: stderr %q", free, errs.String())
			}
		case !strings.Contains(text, "first 0\n"):
			t.Errorf("%d KiB free: %s", free, text)
		}
		if strings.Contains(text, ".tmp") {
			t.Errorf("%d KiB free: half of a file is left: %s", free, text)
		}
		if !strings.Contains(text, "second 0\n") {
			t.Fatalf("%d KiB free, then room: %s%s", free, text, errs.String())
		}
		if adapterDigest(t, adapter) != adapterDigest(t, whole) {
			t.Errorf("%d KiB free, then room: the file differs from that of a run without trouble", free)
		}
	}
	if failed < 3 {
		t.Errorf("%d of the disks were full", failed)
	}
}
