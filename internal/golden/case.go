package golden

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Case is one folder of testdata/golden.
type Case struct {
	// Dir is the folder. If the case has a model it contains config.json and model.safetensors.
	Dir string

	t testing.TB
	file
}

// Tensor is one stored tensor, row-major. Exactly one of Data and Ints is set.
type Tensor struct {
	Shape []int
	Data  []float32
	Ints  []int64
}

// Root returns the path of testdata/golden. It fails the test if no parent folder has one.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		root := filepath.Join(dir, "testdata", "golden")
		if _, err := os.Stat(filepath.Join(root, "manifest.json")); err == nil {
			return root
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("golden: no testdata/golden/manifest.json above the working folder")
		}
		dir = up
	}
}

// Open reads the golden.safetensors of one folder, such as "hf_vit" or "adapters/loravit".
func Open(t testing.TB, kind string) *Case {
	t.Helper()
	dir := filepath.Join(Root(t), filepath.FromSlash(kind))
	return &Case{Dir: dir, t: t, file: read(t, filepath.Join(dir, "golden.safetensors"))}
}

// OpenFile reads another file of a case, such as "model.safetensors".
func (c *Case) OpenFile(name string) *Case {
	c.t.Helper()
	return &Case{Dir: c.Dir, t: c.t, file: read(c.t, filepath.Join(c.Dir, name))}
}

// Model returns the path of the case's weights.
func (c *Case) Model() string { return filepath.Join(c.Dir, "model.safetensors") }

// Has reports whether the case has a tensor.
func (c *Case) Has(name string) bool { _, ok := c.tensors[name]; return ok }

// Names returns the sorted names of the tensors that begin with prefix.
func (c *Case) Names(prefix string) []string {
	var names []string
	for _, n := range slices.Sorted(maps.Keys(c.tensors)) {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names
}

// Meta returns an entry of the file's metadata ("notes" describes special features), or "".
func (c *Case) Meta(key string) string { return c.meta[key] }

// Tensor returns a tensor. It fails the test if there is none of that name.
func (c *Case) Tensor(name string) Tensor {
	c.t.Helper()
	x, ok := c.tensors[name]
	if !ok {
		c.t.Fatalf("golden: %s has no tensor %q", c.Dir, name)
	}
	return x
}

// Data returns the values of a float tensor.
func (c *Case) Data(name string) []float32 {
	c.t.Helper()
	x := c.Tensor(name)
	if x.Data == nil {
		c.t.Fatalf("golden: %s: %q does not hold floats", c.Dir, name)
	}
	return x.Data
}
