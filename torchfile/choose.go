package torchfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"melo.example/melo/internal/pickle"
	"melo.example/melo/safetensors"
)

// preferred lists the keys under which trainers store a state dict, in order of preference. Teachers, target
// encoders and moving averages come first, because their authors evaluate these.
var preferred = []string{
	"state_dict_ema", "model_ema", "teacher", "target_encoder", "state_dict", "model_state_dict", "model", "module", "net", "network", "student",
	"encoder", "backbone", "visual", "image_encoder",
}

// maxNesting limits how deeply dicts and modules may be nested.
const maxNesting = 32

// choose finds the state dict in the content of a file. copies limits the bytes of copies of non-contiguous
// tensors.
func choose(root any, copies int) (tensors []safetensors.Tensor, notes []string, err error) {
	var path []string
	for len(path) < 8 {
		d, ok := root.(*pickle.Dict)
		if !ok {
			break
		}
		key, others := next(d)
		if key == "" {
			break
		}
		if len(others) > 0 {
			notes = append(notes, fmt.Sprintf("the tensors under %q are taken, those under %s are left out", key, strings.Join(others, ", ")))
		}
		root, _ = d.Get(key)
		path = append(path, key)
	}
	g := gatherer{copies: copies, seen: map[any]bool{}, names: map[string]bool{}}
	if err := g.walk("", root, 0); err != nil {
		return nil, nil, err
	}
	if len(g.tensors) == 0 {
		if o, ok := root.(*pickle.Object); ok {
			return nil, nil, fmt.Errorf("holds a %.80v, expected tensors by name", o.Class)
		}
		return nil, nil, errors.New("holds no tensors by name")
	}
	return g.tensors, notes, nil
}

// next returns the key to descend into, or "" if d is itself a state dict, and the other keys that lead to
// tensors.
func next(d *pickle.Dict) (key string, others []string) {
	var inner []string
	direct := 0
	for i, k := range d.Keys {
		name, ok := k.(string)
		if !ok {
			continue
		}
		if _, ok := d.Values[i].(*tensor); ok {
			direct++
		}
		if holds(d.Values[i], 0) && !slices.Contains(inner, name) {
			inner = append(inner, name)
		}
	}
	for _, p := range preferred {
		if slices.Contains(inner, p) {
			key = p
			break
		}
	}
	if key == "" && direct == 0 && len(inner) == 1 {
		key = inner[0]
	}
	for _, name := range inner {
		if key != "" && name != key {
			others = append(others, name)
		}
	}
	return key, others
}

// holds reports whether a value is a dict or module with named tensors, directly or in nested dicts.
func holds(v any, depth int) bool {
	if depth > 3 {
		return false
	}
	if o, ok := v.(*pickle.Object); ok {
		v = o.State
	}
	d, ok := v.(*pickle.Dict)
	if !ok {
		return false
	}
	for i, k := range d.Keys {
		if _, ok := k.(string); !ok {
			continue
		}
		if _, ok := d.Values[i].(*tensor); ok || holds(d.Values[i], depth+1) {
			return true
		}
	}
	return false
}

// gatherer collects the tensors of a state dict, and of the modules of a TorchScript archive.
type gatherer struct {
	tensors []safetensors.Tensor
	names   map[string]bool
	seen    map[any]bool // values that the walk is inside of
	copies  int          // bytes that may still be copied
}

func (g *gatherer) walk(name string, v any, depth int) error {
	if depth > maxNesting {
		return errors.New("dicts lie too deep in one another")
	}
	switch v := v.(type) {
	case *tensor:
		return g.add(name, v)
	case *pickle.Object:
		if g.seen[v] {
			return nil
		}
		g.seen[v] = true
		return g.walk(name, v.State, depth+1)
	case *pickle.Dict:
		if g.seen[v] {
			return nil
		}
		g.seen[v] = true
		for i, k := range v.Keys {
			key, ok := k.(string)
			if !ok {
				continue
			}
			if name != "" {
				key = name + "." + key
			}
			if err := g.walk(key, v.Values[i], depth+1); err != nil {
				return err
			}
		}
	}
	return nil // numbers, strings and lists are not weights
}

// add adds a tensor: as a view if its values are contiguous, else as a copy.
func (g *gatherer) add(name string, t *tensor) error {
	if g.names[name] {
		return fmt.Errorf("tensor %.100q appears twice", name)
	}
	g.names[name] = true
	n, inRow := 1, true
	for i := len(t.shape) - 1; i >= 0; i-- {
		inRow = inRow && (t.shape[i] == 1 || t.strides[i] == n)
		n *= t.shape[i]
	}
	size := t.dtype.Size()
	data := t.s.data
	out := safetensors.Tensor{Name: name, DType: t.dtype, Shape: t.shape}
	if n == 0 {
		g.tensors = append(g.tensors, out)
		return nil
	}
	if data == nil {
		return fmt.Errorf("tensor %.100q has no numbers in the file", name)
	}
	if inRow {
		out.Data = data[t.offset*size : (t.offset+n)*size : (t.offset+n)*size]
		g.tensors = append(g.tensors, out)
		return nil
	}
	if g.copies -= n * size; g.copies < 0 { // many tensors that share one storage could each need a copy
		return fmt.Errorf("tensor %.100q: the tensors that do not lie in the order of their shape are larger than the file", name)
	}
	out.Data = gathered(data, size, n, t)
	g.tensors = append(g.tensors, out)
	return nil
}

// gathered copies the values of a tensor in row-major order.
func gathered(data []byte, size, n int, t *tensor) []byte {
	out := make([]byte, 0, n*size)
	index := make([]int, len(t.shape))
	at := t.offset
	for range n {
		out = append(out, data[at*size:(at+1)*size]...)
		for i := len(index) - 1; i >= 0; i-- {
			index[i]++
			at += t.strides[i]
			if index[i] < t.shape[i] {
				break
			}
			at -= t.strides[i] * t.shape[i]
			index[i] = 0
		}
	}
	return out
}
