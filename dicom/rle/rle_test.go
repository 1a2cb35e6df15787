package rle

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// frame builds a frame of the given segments.
func frame(segments ...[]byte) []byte {
	head := make([]byte, headerSize)
	binary.LittleEndian.PutUint32(head, uint32(len(segments)))
	at := headerSize
	for i, s := range segments {
		binary.LittleEndian.PutUint32(head[4+4*i:], uint32(at))
		at += len(s)
	}
	return append(head, bytes.Join(segments, nil)...)
}

func TestDecode(t *testing.T) {
	minus := func(n int) byte { return byte(int8(-n)) }
	f := frame([]byte{2, 1, 2, 3, minus(4), 9, 128, 0, 7}, []byte{minus(8), 5, 0, 6, 0})
	got, err := Decode(f, 9, 1, 2)
	want := []byte{1, 2, 3, 9, 9, 9, 9, 9, 7, 5, 5, 5, 5, 5, 5, 5, 5, 5}
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := frame([]byte{3, 1, 2, 3, 4})
	late := bytes.Clone(good)
	binary.LittleEndian.PutUint32(late[4:], 1<<31)
	for name, c := range map[string]struct {
		frame            []byte
		n, samples, size int
	}{
		"no header":          {good[:63], 4, 1, 1},
		"too few segments":   {good, 4, 3, 1},
		"short segment":      {good, 5, 1, 1},
		"offset beyond":      {late, 4, 1, 1},
		"more than 15":       {frame(make([][]byte, 15)...), 1, 4, 4},
		"far too many asked": {good, 1 << 30, 1, 1},
	} {
		if out, err := Decode(c.frame, c.n, c.samples, c.size); err == nil {
			t.Errorf("%s: %d bytes and no error", name, len(out))
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(frame([]byte{3, 1, 2, 3, 4}), uint16(4), uint8(1), uint8(1))
	f.Add(frame([]byte{0xff, 1}, []byte{1, 2, 3}, nil), uint16(2), uint8(3), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, n uint16, samples, width uint8) {
		out, err := Decode(data, int(n), int(samples%5), int(width%5))
		if err == nil && width%5 > 0 && len(out) != int(n)*int(samples%5)*int(width%5) {
			t.Fatalf("%d bytes", len(out))
		}
	})
}
