package onnx

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// tensor is an array of the interpreter, row by row.
type tensor struct {
	dims []int
	x    []float64
}

func zeros(dims ...int) *tensor {
	t := &tensor{dims: slices.Clone(dims)}
	t.x = make([]float64, t.size())
	return t
}

func (t *tensor) size() int {
	n := 1
	for _, d := range t.dims {
		n *= d
	}
	return n
}

// ints are the numbers of a list.
func (t *tensor) ints() []int {
	v := make([]int, len(t.x))
	for i, x := range t.x {
		v[i] = int(x)
	}
	return v
}

// at calls do with every index of an array.
func at(dims []int, do func(flat int, index []int)) {
	index := make([]int, len(dims))
	for flat := range (&tensor{dims: dims}).size() {
		rest := flat
		for i := len(dims) - 1; i >= 0; i-- {
			index[i], rest = rest%dims[i], rest/dims[i]
		}
		do(flat, index)
	}
}

// get is the number at an index, of which an array that is broadcast ignores what it has no room for.
func (t *tensor) get(index []int) float64 {
	flat := 0
	for i, d := range t.dims {
		flat = flat*d + index[len(index)-len(t.dims)+i]%d
	}
	return t.x[flat]
}

func broadcast(a, b []int) []int {
	if len(a) < len(b) {
		a, b = b, a
	}
	dims := slices.Clone(a)
	for i, d := range b {
		j := len(a) - len(b) + i
		dims[j] = max(dims[j], d)
	}
	return dims
}

func (t *tensor) each(f func(float64) float64) *tensor {
	y := zeros(t.dims...)
	for i, v := range t.x {
		y.x[i] = f(v)
	}
	return y
}

func both(a, b *tensor, f func(a, b float64) float64) *tensor {
	y := zeros(broadcast(a.dims, b.dims)...)
	at(y.dims, func(flat int, index []int) { y.x[flat] = f(a.get(index), b.get(index)) })
	return y
}

// step is one operator at work.
type step struct {
	t     *testing.T
	in    []*tensor
	attr  map[string][]int
	float map[string]float64
}

// run interprets a model in float64.
func run(t *testing.T, model, data []byte, image *tensor) map[string]*tensor {
	values := map[string]*tensor{"image": image}
	var outputs []string
	set := 0
	fields(t, model, func(field protowire.Number, _ uint64, b []byte) {
		switch field {
		case 7:
			fields(t, b, func(field protowire.Number, _ uint64, b []byte) {
				switch field {
				case 5:
					name, x := constantOf(t, b, data)
					values[name] = x
				case 12:
					fields(t, b, func(field protowire.Number, _ uint64, b []byte) {
						if field == 1 {
							outputs = append(outputs, string(b))
						}
					})
				}
			})
			fields(t, b, func(field protowire.Number, _ uint64, b []byte) {
				if field == 1 {
					node(t, b, values)
				}
			})
		case 8:
			fields(t, b, func(field protowire.Number, v uint64, _ []byte) {
				if field == 2 {
					set = int(v)
				}
			})
		}
	})
	if set != opset {
		t.Errorf("operator set %d", set)
	}
	results := map[string]*tensor{}
	for _, name := range outputs {
		if results[name] = values[name]; results[name] == nil {
			t.Fatalf("nothing makes %s", name)
		}
	}
	return results
}

func node(t *testing.T, b []byte, values map[string]*tensor) {
	s := step{t: t, attr: map[string][]int{}, float: map[string]float64{}}
	var outputs []string
	op := ""
	fields(t, b, func(field protowire.Number, _ uint64, b []byte) {
		switch field {
		case 1:
			if values[string(b)] == nil {
				t.Fatalf("%s is read before it is made", b)
			}
			s.in = append(s.in, values[string(b)])
		case 2:
			outputs = append(outputs, string(b))
		case 4:
			op = string(b)
		case 5:
			name := ""
			fields(t, b, func(field protowire.Number, v uint64, b []byte) {
				switch field {
				case 1:
					name = string(b)
				case 3, 8:
					s.attr[name] = append(s.attr[name], int(int64(v)))
				case 2:
					s.float[name] = float64(math.Float32frombits(uint32(v)))
				}
			})
		}
	})
	for i, y := range s.compute(op, len(outputs)) {
		values[outputs[i]] = y
	}
}

func (s *step) axis() int {
	a := s.attr["axis"][0]
	if a < 0 {
		a += len(s.in[0].dims)
	}
	return a
}

func (s *step) compute(op string, n int) []*tensor {
	x := s.in[0]
	unary := map[string]func(float64) float64{"Erf": math.Erf, "Tanh": math.Tanh, "Identity": func(v float64) float64 { return v },
		"Sigmoid": func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }}
	binary := map[string]func(a, b float64) float64{"Add": func(a, b float64) float64 { return a + b }, "Mul": func(a, b float64) float64 { return a * b },
		"Div": func(a, b float64) float64 { return a / b }}
	switch {
	case unary[op] != nil:
		return []*tensor{x.each(unary[op])}
	case binary[op] != nil:
		return []*tensor{both(x, s.in[1], binary[op])}
	}
	last := x.dims[len(x.dims)-1]
	switch op {
	case "MatMul":
		return []*tensor{matMul(x, s.in[1])}
	case "Softmax":
		y := zeros(x.dims...)
		for r := 0; r < len(x.x); r += last {
			largest, sum := slices.Max(x.x[r:r+last]), 0.0
			for i := range last {
				y.x[r+i] = math.Exp(x.x[r+i] - largest)
				sum += y.x[r+i]
			}
			for i := range last {
				y.x[r+i] /= sum
			}
		}
		return []*tensor{y}
	case "LayerNormalization":
		y := zeros(x.dims...)
		for r := 0; r < len(x.x); r += last {
			mean, variance := 0.0, 0.0
			for _, v := range x.x[r : r+last] {
				mean += v / float64(last)
			}
			for _, v := range x.x[r : r+last] {
				variance += (v - mean) * (v - mean) / float64(last)
			}
			for i := range last {
				y.x[r+i] = (x.x[r+i]-mean)/math.Sqrt(variance+s.float["epsilon"])*s.in[1].x[i] + s.in[2].x[i]
			}
		}
		return []*tensor{y}
	case "Shape":
		y := zeros(len(x.dims))
		for i, d := range x.dims {
			y.x[i] = float64(d)
		}
		return []*tensor{y}
	case "Gather": // of a list
		y := zeros(s.in[1].dims...)
		for i, k := range s.in[1].ints() {
			y.x[i] = x.x[k]
		}
		return []*tensor{y}
	case "Expand":
		return []*tensor{both(x, zeros(s.in[1].ints()...), func(a, _ float64) float64 { return a })}
	case "Reshape":
		return []*tensor{reshape(x, s.in[1].ints())}
	case "Transpose":
		return []*tensor{transpose(x, s.attr["perm"])}
	case "Concat":
		return []*tensor{concat(s.in, s.axis())}
	case "Slice":
		return []*tensor{slice(x, s.in[3].ints()[0], s.in[1].ints()[0], s.in[2].ints()[0], s.in[4].ints()[0])}
	case "Split":
		a, out := s.axis(), []*tensor{}
		part := x.dims[a] / n
		for i := range n {
			out = append(out, slice(x, a, i*part, (i+1)*part, 1))
		}
		return out
	case "ReduceMean": // over axis 1 of three
		y := zeros(x.dims[0], x.dims[2])
		at(x.dims, func(flat int, i []int) { y.x[i[0]*x.dims[2]+i[2]] += x.x[flat] / float64(x.dims[1]) })
		return []*tensor{y}
	case "Conv":
		return []*tensor{s.conv()}
	}
	s.t.Fatalf("operator %s", op)
	return nil
}

func matMul(a, b *tensor) *tensor {
	n, k, m := a.dims[len(a.dims)-2], a.dims[len(a.dims)-1], b.dims[len(b.dims)-1]
	y := zeros(append(broadcast(a.dims[:len(a.dims)-2], b.dims[:len(b.dims)-2]), n, m)...)
	ia, ib := make([]int, len(y.dims)), make([]int, len(y.dims))
	at(y.dims, func(flat int, index []int) {
		copy(ia, index)
		copy(ib, index)
		for j := range k {
			ia[len(ia)-1], ib[len(ib)-2] = j, j
			y.x[flat] += a.get(ia) * b.get(ib)
		}
	})
	return y
}

func reshape(x *tensor, dims []int) *tensor {
	dims, known := slices.Clone(dims), 1
	for i := range dims {
		if dims[i] == 0 {
			dims[i] = x.dims[i]
		}
		if dims[i] > 0 {
			known *= dims[i]
		}
	}
	for i := range dims {
		if dims[i] < 0 {
			dims[i] = len(x.x) / known
		}
	}
	return &tensor{dims, x.x}
}

func transpose(x *tensor, perm []int) *tensor {
	y := zeros(x.dims...)
	for i, p := range perm {
		y.dims[i] = x.dims[p]
	}
	from := make([]int, len(perm))
	at(y.dims, func(flat int, index []int) {
		for i, p := range perm {
			from[p] = index[i]
		}
		y.x[flat] = x.get(from)
	})
	return y
}

func concat(parts []*tensor, axis int) *tensor {
	y := zeros(parts[0].dims...)
	for _, p := range parts[1:] {
		y.dims[axis] += p.dims[axis]
	}
	y.x = make([]float64, y.size())
	at(y.dims, func(flat int, index []int) {
		index = slices.Clone(index)
		for _, p := range parts {
			if index[axis] < p.dims[axis] {
				y.x[flat] = p.get(index)
				return
			}
			index[axis] -= p.dims[axis]
		}
	})
	return y
}

// slice takes [from, to) of an axis, or all of it backwards.
func slice(x *tensor, axis, from, to, step int) *tensor {
	y := zeros(x.dims...)
	if y.dims[axis] = to - from; step < 0 {
		y.dims[axis] = x.dims[axis]
	}
	y.x = make([]float64, y.size())
	at(y.dims, func(flat int, index []int) {
		index = slices.Clone(index)
		if step < 0 {
			index[axis] = x.dims[axis] - 1 - index[axis]
		} else {
			index[axis] += from
		}
		y.x[flat] = x.get(index)
	})
	return y
}

// conv has strides as large as its kernel.
func (s *step) conv() *tensor {
	x, w := s.in[0], s.in[1]
	p := s.attr["kernel_shape"][0]
	if s.attr["strides"][0] != p || w.dims[2] != p {
		s.t.Fatalf("strides %v, kernel %v", s.attr["strides"], w.dims)
	}
	y := zeros(x.dims[0], w.dims[0], x.dims[2]/p, x.dims[3]/p)
	at(y.dims, func(flat int, i []int) {
		if len(s.in) > 2 {
			y.x[flat] = s.in[2].x[i[1]]
		}
		at(w.dims[1:], func(k int, j []int) {
			y.x[flat] += w.x[i[1]*w.dims[1]*p*p+k] * x.get([]int{i[0], j[0], i[2]*p + j[1], i[3]*p + j[2]})
		})
	})
	return y
}

func atoi(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
