package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// graph collects nodes and the constants that they read. A value is named after the node that computes it.
type graph struct {
	nodes     []message
	constants []constant
	known     map[string]bool // names of constants
	count     int             // number of values so far
	err       error
}

// constant is a TensorProto whose values are produced when they are written.
type constant struct {
	name string
	kind int
	dims []int
	fill func() ([]float32, error) // for constants of floats
	ints []int64                   // for constants of int64
}

func (c *constant) size() int64 {
	n := int64(1)
	for _, d := range c.dims {
		n *= int64(d)
	}
	if c.kind == typeInt64 {
		return 8 * n
	}
	return 4 * n
}

// data returns the values in their encoding.
func (c *constant) data() ([]byte, error) {
	if c.kind == typeInt64 {
		b := make([]byte, 0, c.size())
		for _, v := range c.ints {
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		}
		return b, nil
	}
	v, err := c.fill()
	if err != nil {
		return nil, err
	}
	if int64(len(v))*4 != c.size() {
		return nil, fmt.Errorf("onnx: %s has %d numbers, expected %d", c.name, len(v), c.size()/4)
	}
	b := make([]byte, 0, c.size())
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b, nil
}

// head returns the TensorProto without its values.
func (c *constant) head() message {
	var m message
	for _, d := range c.dims {
		m.number(1, d)
	}
	m.number(2, c.kind)
	m.text(8, c.name)
	return m
}

// node adds an operator with one output, and returns the output's name.
func (g *graph) node(op string, inputs []string, attributes ...attribute) string {
	return g.nodes1(op, inputs, 1, attributes...)[0]
}

// nodes1 adds an operator with n outputs.
func (g *graph) nodes1(op string, inputs []string, n int, attributes ...attribute) []string {
	outputs := make([]string, n)
	for i := range outputs {
		g.count++
		outputs[i] = op + "_" + strconv.Itoa(g.count)
	}
	g.add(op, inputs, outputs, attributes...)
	return outputs
}

func (g *graph) add(op string, inputs, outputs []string, attributes ...attribute) {
	var m message
	for _, name := range inputs {
		m.text(1, name)
	}
	for _, name := range outputs {
		m.text(2, name)
	}
	m.text(3, outputs[0])
	m.text(4, op)
	for _, a := range attributes {
		m.bytes(5, a.encode())
	}
	g.nodes = append(g.nodes, m)
}

// rename gives a value the name of an output of the model.
func (g *graph) rename(value, name string) { g.add("Identity", []string{value}, []string{name}) }

// floats adds a constant with values from fill, unless a constant of that name exists, and returns the name.
func (g *graph) floats(name string, dims []int, fill func() ([]float32, error)) string {
	if !g.known[name] {
		g.known[name] = true
		g.constants = append(g.constants, constant{name: name, kind: typeFloat, dims: dims, fill: fill})
	}
	return name
}

// number adds a scalar float32 constant.
func (g *graph) number(v float32) string {
	return g.floats("number_"+strconv.FormatFloat(float64(v), 'g', -1, 32), nil, func() ([]float32, error) { return []float32{v}, nil })
}

// ints adds a constant list of integers.
func (g *graph) ints(v ...int) string {
	name, list := "ints", make([]int64, len(v))
	for i, n := range v {
		name, list[i] = name+"_"+strconv.Itoa(n), int64(n)
	}
	if !g.known[name] {
		g.known[name] = true
		g.constants = append(g.constants, constant{name: name, kind: typeInt64, dims: []int{len(v)}, ints: list})
	}
	return name
}

// Shorthands for operators that are used often.

func (g *graph) plus(a, b string) string  { return g.node("Add", []string{a, b}) }
func (g *graph) times(a, b string) string { return g.node("Mul", []string{a, b}) }
func (g *graph) matMul(a, b string) string {
	return g.node("MatMul", []string{a, b})
}

func (g *graph) reshape(x string, dims ...int) string {
	return g.node("Reshape", []string{x, g.ints(dims...)})
}

func (g *graph) transpose(x string, perm ...int) string {
	return g.node("Transpose", []string{x}, attribute{"perm", perm})
}

func (g *graph) concat(axis int, parts ...string) string {
	if len(parts) == 1 {
		return parts[0]
	}
	return g.node("Concat", parts, attribute{"axis", axis})
}

// slice returns the range [from, to) of an axis.
func (g *graph) slice(x string, axis, from, to, step int) string {
	return g.node("Slice", []string{x, g.ints(from), g.ints(to), g.ints(axis), g.ints(step)})
}

func (g *graph) halves(x string, axis int) (first, second string) {
	y := g.nodes1("Split", []string{x}, 2, attribute{"axis", axis})
	return y[0], y[1]
}
