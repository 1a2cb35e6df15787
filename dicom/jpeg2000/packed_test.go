package jpeg2000

import (
	"bytes"
	"encoding/binary"
	"os"
	"reflect"
	"testing"
)

// splitPackets takes a codestream of one tile with SOP and EPH markers apart: what is before SOD, packet headers, bodies.
func splitPackets(t *testing.T, data []byte) (main, tile []byte, heads, bodies [][]byte) {
	t.Helper()
	at := bytes.Index(data, []byte{0xFF, 0x90})
	end := bytes.Index(data, []byte{0xFF, 0x93})
	main, tile = data[:at], data[at:end]
	rest := data[end+2 : len(data)-2]
	for len(rest) > 0 {
		if !bytes.HasPrefix(rest, []byte{0xFF, 0x91, 0, 4}) {
			t.Fatal("a packet without SOP")
		}
		rest = rest[6:]
		n := bytes.Index(rest, []byte{0xFF, 0x92}) + 2
		heads = append(heads, rest[:n])
		rest = rest[n:]
		next := bytes.Index(rest, []byte{0xFF, 0x91, 0, 4})
		if next < 0 {
			next = len(rest)
		}
		bodies = append(bodies, rest[:next])
		rest = rest[next:]
	}
	return main, tile, heads, bodies
}

func segmentOf(marker uint16, payload ...[]byte) []byte {
	body := bytes.Join(payload, nil)
	out := binary.BigEndian.AppendUint16(nil, marker)
	out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
	return append(out, body...)
}

// withLength sets a tile-part's length and puts it together.
func withLength(tile, extra, body []byte) []byte {
	out := append(append([]byte(nil), tile...), extra...)
	out = append(append(out, 0xFF, 0x93), body...)
	binary.BigEndian.PutUint32(out[6:], uint32(len(out)))
	return out
}

// TestPackedHeaders moves the packet headers of a codestream to PPT and to PPM marker segments, which no public encoder
// writes. The picture must stay.
func TestPackedHeaders(t *testing.T) {
	data, err := os.ReadFile("testdata/sopeph.j2k")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Decode(data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	main, tile, heads, bodies := splitPackets(t, data)
	if len(heads) < 10 {
		t.Fatalf("%d packets", len(heads))
	}
	all, body := bytes.Join(heads, nil), bytes.Join(bodies, nil)
	half := len(all) / 2
	eoc := []byte{0xFF, 0xD9}

	ppt := append(segmentOf(0xFF61, []byte{0}, all[:half]), segmentOf(0xFF61, []byte{1}, all[half:])...)
	comparePacked(t, "PPT", want, bytes.Join([][]byte{main, withLength(tile, ppt, body), eoc}, nil))

	length := binary.BigEndian.AppendUint32(nil, uint32(len(all)))
	ppm := append(segmentOf(0xFF60, []byte{0}, length, all[:half]), segmentOf(0xFF60, []byte{1}, all[half:])...)
	comparePacked(t, "PPM", want, bytes.Join([][]byte{main, ppm, withLength(tile, nil, body), eoc}, nil))

	// Two tile-parts, cut in the middle of the packets.
	k := len(heads) / 2
	firstHead, first := bytes.Join(heads[:k], nil), bytes.Join(bodies[:k], nil)
	second := append([]byte(nil), tile...)
	second[10] = 1 // TPsot
	ppm = segmentOf(0xFF60, []byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(firstHead))), firstHead,
		binary.BigEndian.AppendUint32(nil, uint32(len(all)-len(firstHead))), all[len(firstHead):])
	comparePacked(t, "PPM of two tile-parts", want, bytes.Join([][]byte{main, ppm, withLength(tile[:12], nil, first),
		withLength(second[:12], nil, body[len(first):]), eoc}, nil))
}

func comparePacked(t *testing.T, name string, want *Image, data []byte) {
	t.Helper()
	got, err := Decode(data, Options{})
	if err != nil {
		t.Errorf("%s: %v", name, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: another picture", name)
	}
}
