package tfevents

import (
	"encoding/binary"
	"math"
	"math/bits"
	"reflect"
	"testing"
	"time"
)

// event is what a record holds.
type event struct {
	wall    float64
	step    int64
	version string
	scalars []Scalar
}

// fields reads a protobuf message: uint64 for varints and fixed numbers, []byte for the rest.
func fields(t *testing.T, data []byte) map[uint64][]any {
	t.Helper()
	out := map[uint64][]any{}
	for len(data) > 0 {
		tag, n := binary.Uvarint(data)
		data = data[n:]
		var v any
		switch tag & 7 {
		case 0:
			v, n = binary.Uvarint(data)
		case 1:
			v, n = binary.LittleEndian.Uint64(data), 8
		case 2:
			size, m := binary.Uvarint(data)
			v, n = data[m:m+int(size)], m+int(size)
		case 5:
			v, n = uint64(binary.LittleEndian.Uint32(data)), 4
		default:
			t.Fatalf("field %d has wire type %d", tag>>3, tag&7)
		}
		out[tag>>3], data = append(out[tag>>3], v), data[n:]
	}
	return out
}

// read takes a file apart, and checks every checksum.
func read(t *testing.T, file []byte) (events []event) {
	t.Helper()
	for len(file) > 0 {
		n := binary.LittleEndian.Uint64(file)
		if got, want := binary.LittleEndian.Uint32(file[8:]), masked(file[:8]); got != want {
			t.Fatalf("checksum of the length: %x, want %x", got, want)
		}
		data := file[12 : 12+n]
		if got, want := binary.LittleEndian.Uint32(file[12+n:]), masked(data); got != want {
			t.Fatalf("checksum of the data: %x, want %x", got, want)
		}
		file = file[16+n:]
		f := fields(t, data)
		e := event{wall: math.Float64frombits(f[1][0].(uint64))}
		if v := f[3]; v != nil {
			e.version = string(v[0].([]byte))
		}
		if v := f[2]; v != nil {
			e.step = int64(v[0].(uint64))
		}
		if v := f[5]; v != nil {
			for _, value := range fields(t, v[0].([]byte))[1] {
				s := fields(t, value.([]byte))
				e.scalars = append(e.scalars, Scalar{string(s[1][0].([]byte)), float64(math.Float32frombits(uint32(s[2][0].(uint64))))})
			}
		}
		events = append(events, e)
	}
	return events
}

func TestReadBack(t *testing.T) {
	at := time.Unix(1_700_000_000, 500_000_000)
	file := AppendHeader(nil, at)
	file = AppendScalars(file, at.Add(time.Second), 1, []Scalar{{"train/loss", 0.5}, {"val/auc", 0.75}})
	file = AppendScalars(file, at.Add(2*time.Second), 1<<40, []Scalar{{"train/loss", -3}})
	file = AppendScalars(file, at, 0, nil)
	want := []event{
		{wall: 1_700_000_000.5, version: "brain.Event:2"},
		{wall: 1_700_000_001.5, step: 1, scalars: []Scalar{{"train/loss", 0.5}, {"val/auc", 0.75}}},
		{wall: 1_700_000_002.5, step: 1 << 40, scalars: []Scalar{{"train/loss", -3}}},
		{wall: 1_700_000_000.5},
	}
	if got := read(t, file); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestMasked: CRC-32C of "123456789" is 0xe3069283 (RFC 3720); rotated right by 15 bits and shifted.
func TestMasked(t *testing.T) {
	if got, want := masked([]byte("123456789")), bits.RotateLeft32(0xe3069283, 17)+0xa282ead8; got != want {
		t.Errorf("%x, want %x", got, want)
	}
}
