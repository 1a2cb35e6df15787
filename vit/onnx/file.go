package onnx

import (
	"io"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Constants larger than small bytes go to the data file, if there is one. Each starts at a multiple of page
// bytes, so that it can be mapped.
const (
	small = 1 << 10
	page  = 4096
)

// file writes a model in two steps: it computes all lengths, then writes the values.
type file struct {
	graph    *graph
	w, data  io.Writer
	location string

	heads []message // for each constant: its TensorProto without the values
	size  int64     // total length of the constants in w
	at    int64     // offset in data
	err   error
}

func (f *file) write(parts ...message) {
	for _, p := range parts {
		if f.err == nil {
			_, f.err = f.w.Write(p)
		}
	}
}

// outside reports whether the values of a constant are written to the data file.
func (f *file) outside(c *constant) bool { return f.data != nil && c.size() > small }

// lay computes the position of every part.
func (f *file) lay() {
	at := int64(0)
	for i := range f.graph.constants {
		c := &f.graph.constants[i]
		m, n := c.head(), int64(0)
		if f.outside(c) {
			m.bytes(13, pair("location", f.location))
			m.bytes(13, pair("offset", strconv.FormatInt(at, 10)))
			m.bytes(13, pair("length", strconv.FormatInt(c.size(), 10)))
			m.number(14, external)
			at = pages(at + c.size())
		} else {
			m = protowire.AppendVarint(protowire.AppendTag(m, 9, protowire.BytesType), uint64(c.size()))
			n = c.size()
		}
		var whole message
		whole = protowire.AppendVarint(protowire.AppendTag(whole, 5, protowire.BytesType), uint64(len(m))+uint64(n))
		whole = append(whole, m...)
		f.heads = append(f.heads, whole)
		f.size += int64(len(whole)) + n
	}
}

// constants writes the constants.
func (f *file) constants() {
	for i := range f.graph.constants {
		c := &f.graph.constants[i]
		f.write(f.heads[i])
		if f.err != nil {
			return
		}
		v, err := c.data()
		if err != nil {
			f.err = err
			return
		}
		if !f.outside(c) {
			f.write(v)
			continue
		}
		end := f.at + int64(len(v))
		v = append(v, make([]byte, pages(end)-end)...)
		_, f.err = f.data.Write(v)
		f.at += int64(len(v))
	}
}

func pages(n int64) int64 { return (n + page - 1) &^ (page - 1) }
