package adapterfile

import (
	"fmt"
	"slices"
	"strings"

	"melo.example/melo/compute"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
	"melo.example/melo/vit/checkpoint"
)

// Tuned returns the base m with the weights that a fully tuned adapter brings along, packed as o says: its precision and
// workers. m gives the weights that training leaves alone.
func (f *File) Tuned(m *compute.Model, o vit.Options) (*compute.Model, error) {
	weights, err := f.weights(&m.Config)
	if err != nil {
		return nil, err
	}
	d := checkpoint.Description{Config: m.Config, Recipe: m.Recipe, RecipeNote: m.RecipeNote, Labels: m.Labels, Problem: m.Problem}
	failures := error(nil)
	tuned, err := vit.New(&d, func(name string) []float32 {
		view, ok := weights[name]
		if !ok {
			return m.Parameter(name)
		}
		v, err := view.numbers()
		if err != nil && failures == nil {
			failures = err
		}
		return v
	}, o)
	if failures != nil {
		return nil, failures
	}
	if err != nil {
		return nil, err
	}
	tuned.Path = m.Path
	return tuned, nil
}

// tunedView is a parameter: n numbers of a tensor, from at on.
type tunedView struct {
	tensor safetensors.Tensor
	at, n  int
}

func (v *tunedView) numbers() ([]float32, error) {
	if size := v.tensor.DType.Size(); v.n > 0 && size > 0 {
		part := v.tensor
		part.Data, part.Shape = part.Data[v.at*size:(v.at+v.n)*size], []int{v.n}
		return part.Float32s(nil)
	}
	return make([]float32, v.n), nil
}

// weights finds the parameters of a network of shape c in f.Extra.
func (f *File) weights(c *vit.Config) (map[string]*tunedView, error) {
	left := map[string]safetensors.TensorData{}
	for _, t := range f.Extra {
		left[strings.TrimPrefix(t.Name, BasePrefix)] = t
	}
	taken := map[string]int{}   // numbers of a tensor that parameters have
	columns := map[string]int{} // of a matrix
	found := map[string]*tunedView{}
	for _, p := range c.Params() {
		if untrained(p.Name) {
			continue
		}
		name := joined(p.Name)
		t, ok := left[name]
		if !ok {
			return nil, fmt.Errorf("adapterfile: %s: fully tuned, but has no tensor %q", f.Path, BasePrefix+name)
		}
		found[p.Name] = &tunedView{safetensors.Tensor{Name: t.Name, DType: t.DType, Shape: t.Shape, Data: t.Data, File: f.Path}, taken[name], p.Len()}
		taken[name] += p.Len()
		columns[name] = p.Len() / p.Shape[0]
	}
	for name, t := range left {
		n := taken[name]
		if n == 0 {
			return nil, fmt.Errorf("adapterfile: %s: tensor %q belongs to nothing in the base", f.Path, t.Name)
		}
		if want := []int{n / columns[name], columns[name]}; !slices.Equal(t.Shape, want) && !slices.Equal(t.Shape, []int{n}) {
			if want[1] == 1 {
				want = want[:1]
			}
			return nil, fmt.Errorf("adapterfile: %s: tensor %q: shape %v, expected %v", f.Path, t.Name, t.Shape, want)
		}
	}
	return found, nil
}

// untrained reports whether full fine-tuning leaves a parameter alone: heads are the adapter's, and features do not depend on
// the projection of CLIP.
func untrained(name string) bool {
	module := name[:max(strings.LastIndexByte(name, '.'), 0)]
	return slices.Contains([]string{"head", "head_dist", "project"}, module)
}

// joined is the name of the tensor that a parameter is part of: k and v are one for a trainer.
func joined(name string) string {
	for _, last := range []string{".weight", ".bias"} {
		for _, kind := range []string{".k", ".v"} {
			if module, ok := strings.CutSuffix(name, kind+last); ok {
				return module + ".kv" + last
			}
		}
	}
	return name
}
