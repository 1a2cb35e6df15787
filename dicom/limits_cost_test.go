package dicom

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
)

// deflatedObject is an object whose data set is deflated.
func deflatedObject(t testing.TB, set []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(set); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	syntax := string(DeflatedLittleEndian)
	meta := append([]byte{2, 0, 0x10, 0, 'U', 'I', byte(len(syntax)), 0}, syntax...)
	out := append(make([]byte, 128), "DICM"...)
	out = append(out, 2, 0, 0, 0, 'U', 'L', 4, 0)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(meta)))
	return append(append(out, meta...), b.Bytes()...)
}

// allocated is how much f allocates.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestBombsTakeNoMemory: what inflates to more than the limit is refused before any of it is kept, and Cost bounds what
// reading takes.
func TestBombsTakeNoMemory(t *testing.T) {
	const limit = 8 << 20
	bomb := deflatedObject(t, make([]byte, 2*limit))
	var err error
	took := allocated(func() { _, err = Parse(bomb, "bomb", Limits{MaxInflatedBytes: limit}) })
	if !errors.Is(err, ErrTooLarge) || took > 1<<20 {
		t.Errorf("%v, %d bytes were taken", err, took)
	}
	if n := Cost(bomb, Limits{MaxInflatedBytes: limit}); n != 0 {
		t.Errorf("what is refused costs %d", n)
	}
	var many []byte // elements of 8 bytes
	for i := range 100_000 {
		many = binary.LittleEndian.AppendUint16(append(many, 9, 0), uint16(i))
		many = append(many, 'L', 'O', 0, 0)
	}
	for name, data := range map[string][]byte{"zeros": deflatedObject(t, make([]byte, 1<<20)), "elements": deflatedObject(t, many)} {
		cost := Cost(data, Limits{})
		took := allocated(func() { _, _ = Parse(data, name, Limits{}) })
		if took > cost+1<<20 || cost > 8*took+1<<20 {
			t.Errorf("%s: costs %d, took %d", name, cost, took)
		}
	}
	if f, err := Parse(deflatedObject(t, many), "many", Limits{}); err != nil || f.Elements < 60_000 || f.Inflated != int64(len(many)) {
		t.Errorf("%v, %+v", err, f)
	}
}
