package onnx

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers and constants of onnx.proto (IR version 8).
const (
	irVersion = 8
	opset     = 17 // the first with LayerNormalization

	typeFloat = 1 // TensorProto.FLOAT
	typeInt64 = 7

	attributeFloat = 1
	attributeInt   = 2
	attributeInts  = 7

	external = 1 // TensorProto.EXTERNAL
)

// message is a protocol buffer under construction.
type message []byte

func (m *message) bytes(field protowire.Number, v []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), v)
}

func (m *message) text(field protowire.Number, v string) { m.bytes(field, []byte(v)) }

func (m *message) number(field protowire.Number, v int) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) float(field protowire.Number, v float32) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, field, protowire.Fixed32Type), math.Float32bits(v))
}

// attribute is an AttributeProto.
type attribute struct {
	name  string
	value any // int, []int or float32
}

func (a attribute) encode() message {
	var m message
	m.text(1, a.name)
	switch v := a.value.(type) {
	case int:
		m.number(3, v)
		m.number(20, attributeInt)
	case []int:
		for _, n := range v {
			m.number(8, n)
		}
		m.number(20, attributeInts)
	case float32:
		m.float(2, v)
		m.number(20, attributeFloat)
	}
	return m
}

// pair is a StringStringEntryProto.
func pair(key, value string) message {
	var m message
	m.text(1, key)
	m.text(2, value)
	return m
}

// valueInfo is a ValueInfoProto of a tensor of float32; the first dimension is the number of images.
func valueInfo(name string, dims ...int) message {
	var shape message
	for i, n := range append([]int{0}, dims...) {
		var dim message
		if i == 0 {
			dim.text(2, "batch")
		} else {
			dim.number(1, n)
		}
		shape.bytes(1, dim)
	}
	var tensor, kind, info message
	tensor.number(1, typeFloat)
	tensor.bytes(2, shape)
	kind.bytes(1, tensor)
	info.text(1, name)
	info.bytes(2, kind)
	return info
}
