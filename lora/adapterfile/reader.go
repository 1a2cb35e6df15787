package adapterfile

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/safetensors"
)

// reader takes tensors from a file and records which, so that a single error can list all that are unused,
// missing or wrong.
type reader struct {
	st      *safetensors.File
	used    map[string]bool
	missing []string
	err     error // the first tensor that exists but is wrong
}

func newReader(st *safetensors.File) *reader {
	return &reader{st: st, used: map[string]bool{}}
}

// floats returns a tensor of the given shape as float32, or nil if it is missing or wrong.
func (r *reader) floats(name string, shape ...int) []float32 {
	return r.floatsInto(nil, name, shape...)
}

// floatsInto is floats using the memory of dst if that is large enough.
func (r *reader) floatsInto(dst []float32, name string, shape ...int) []float32 {
	t, ok := r.take(name, shape)
	if !ok {
		return nil
	}
	v, err := t.Float32s(dst)
	if err != nil {
		r.fail("tensor %s: dtype %s, expected F32, F16, BF16 or F64", quote(name), t.DType)
		return nil
	}
	if err := firstError(name, v); err != nil {
		r.fail("%w", err)
		return nil
	}
	return v
}

// scaled returns the I8 tensor with row i multiplied by element i of the scale tensor.
func (r *reader) scaled(name, scaleName string, rows, cols int) []float32 {
	scale := r.floats(scaleName, rows)
	t, ok := r.take(name, []int{rows, cols})
	if !ok || scale == nil {
		return nil
	}
	v := make([]float32, rows*cols)
	for i, b := range t.Data {
		v[i] = float32(int8(b)) * scale[i/cols]
	}
	if i := firstBad(v); i >= 0 {
		r.fail("tensor %s: row %d overflows with its scale %g", quote(name), i/cols, scale[i/cols])
		return nil
	}
	return v
}

// upper returns a tensor with three bytes per value; see Head24.
func (r *reader) upper(name string, rows, cols int) []float32 {
	t, ok := r.take(name, []int{rows, cols, 3})
	if !ok {
		return nil
	}
	v := decode24(t.Data)
	if err := firstError(name, v); err != nil {
		r.fail("%w", err)
		return nil
	}
	return v
}

func (r *reader) take(name string, shape []int) (safetensors.Tensor, bool) {
	t, ok := r.st.Tensor(name)
	if !ok {
		r.missing = append(r.missing, name)
		return t, false
	}
	r.used[name] = true
	if !slices.Equal(t.Shape, shape) {
		r.fail("tensor %s: shape %v, expected %v", quote(name), t.Shape, shape)
		return t, false
	}
	return t, true
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// finish returns an error if a tensor was wrong, missing or unused.
func (r *reader) finish() error {
	var unused []string
	for _, name := range r.st.Names() {
		if !r.used[name] {
			unused = append(unused, quote(name))
		}
	}
	var list []string
	if len(r.missing) > 0 {
		slices.Sort(r.missing)
		list = append(list, "missing tensors: "+someOf(spans(r.missing)))
	}
	if len(unused) > 0 {
		list = append(list, "tensors that belong to nothing: "+someOf(unused))
	}
	switch {
	case len(list) > 0:
		return errors.New(strings.Join(list, "; "))
	default:
		return r.err
	}
}

// spans abbreviates sorted names that end in consecutive numbers to "x_000 to x_023".
func spans(names []string) []string {
	var list []string
	for i := 0; i < len(names); {
		last := i
		for last+1 < len(names) && follows(names[last], names[last+1]) {
			last++
		}
		switch last - i {
		case 0, 1:
			list = append(list, names[i:last+1]...)
		default:
			list = append(list, names[i]+" to "+names[last])
		}
		i = last + 1
	}
	return list
}

// follows reports whether b is a with the number at its end increased by one.
func follows(a, b string) bool {
	stem := strings.TrimRight(a, "0123456789")
	n, err := strconv.Atoi(a[len(stem):])
	return err == nil && b == fmt.Sprintf("%s%0*d", stem, len(a)-len(stem), n+1)
}

// quote shortens text from a file for a message.
func quote(s string) string {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return strconv.Quote(s)
}
