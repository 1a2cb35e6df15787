package main

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"
)

// Both protocols carry the same tensor, and the JSON head ends where the data begin.
func TestPreparedPicture(t *testing.T) {
	p := &picture{name: "x.f32", data: make([]byte, 3*2*2*4), side: 2}
	binary.LittleEndian.PutUint32(p.data, math.Float32bits(1.5))
	head, body := p.rest()
	if !json.Valid(body[:head]) || string(body[head:]) != string(p.data) {
		t.Errorf("head %q, %d bytes of data, expected %d", body[:head], len(body)-head, len(p.data))
	}
	r := p.grpc("a")
	if string(r.RawInputContents[0]) != string(p.data) || r.Inputs[0].Shape[3] != 2 {
		t.Errorf("request %v", r)
	}
	if v := floats(p.data); len(v) != 12 || v[0] != 1.5 {
		t.Errorf("floats: %v", v)
	}
}

func TestEncodedPicture(t *testing.T) {
	p := &picture{name: "x.png", data: []byte("png")}
	head, body := p.rest()
	if !json.Valid(body[:head]) || string(body[head:]) != "\x03\x00\x00\x00png" {
		t.Errorf("body %q, head of %d", body, head)
	}
}

func TestAlike(t *testing.T) {
	for _, c := range []struct {
		b         []float32
		tolerance float64
		want      bool
	}{
		{[]float32{-10, 1}, 0, true},
		{[]float32{-10, 1.0005}, 0, false},
		{[]float32{-10, 1.0005}, 1e-4, true},
		{[]float32{-10, 1.01}, 1e-4, false},
		{[]float32{-10}, 1, false},
		{[]float32{float32(math.NaN()), 1}, 1, false},
	} {
		if got := alike([]float32{-10, 1}, c.b, c.tolerance); got != c.want {
			t.Errorf("%v within %v: %v", c.b, c.tolerance, got)
		}
	}
}
