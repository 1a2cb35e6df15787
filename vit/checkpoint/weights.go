package checkpoint

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
)

// weights holds a file's tensors by canonical name, and the problems found while they were taken.
type weights struct {
	path    string
	naming  *naming
	tensors map[string]safetensors.Tensor
	unknown []string // names in the file that the naming does not know
	taken   map[string]bool
	missing []string
	wrong   []string
}

func newWeights(f *safetensors.File, names *naming) (*weights, error) {
	w := &weights{path: f.Path(), naming: names, tensors: map[string]safetensors.Tensor{}, taken: map[string]bool{}}
	for _, name := range f.Names() {
		canon, ignored := names.canonical(name)
		if canon == "" {
			if ignored == "" {
				// an empty tensor, such as zero registers, carries no information
				if t, _ := f.Tensor(name); !slices.Contains(t.Shape, 0) {
					w.unknown = append(w.unknown, name)
				}
			}
			continue
		}
		t, _ := f.Tensor(name)
		if other, dup := w.tensors[canon]; dup {
			return nil, fmt.Errorf("%s: tensors %q and %q are the same weight (%s)", w.path, other.Name, name, canon)
		}
		w.tensors[canon] = t
	}
	return w, nil
}

func (w *weights) has(name string) bool { _, ok := w.tensors[name]; return ok }

// hasModule reports whether a weight or a bias of a module is there. Either one is enough, so that a missing
// counterpart is noticed.
func (w *weights) hasModule(name string) bool { return w.has(name+".weight") || w.has(name+".bias") }

// inBlocks reports whether any block has the parameter or module.
func (w *weights) inBlocks(name string) bool {
	for i := range w.depth() {
		if n := arch.BlockName(i, name); w.has(n) || w.hasModule(n) {
			return true
		}
	}
	return false
}

// depth returns one more than the highest block number.
func (w *weights) depth() int {
	depth := 0
	for name := range w.tensors {
		if rest, ok := strings.CutPrefix(name, "blocks."); ok {
			number, _, _ := strings.Cut(rest, ".")
			n, _ := strconv.Atoi(number) // cannot fail: canonical checked that the number is below arch.MaxDepth
			depth = max(depth, n+1)
		}
	}
	return depth
}

// dim returns the size of dimension i of a tensor after dropping leading ones. Negative i counts from the end.
// The result is 0 if there is no such dimension. dim is for inferring shapes; take checks them.
func (w *weights) dim(name string, i int) int {
	t, ok := w.tensors[name]
	if !ok {
		return 0
	}
	if i < 0 {
		i += len(t.Shape)
	}
	if i < 0 || i >= len(t.Shape) {
		return 0
	}
	return t.Shape[i]
}

// blockDim is dim for the first block that has the tensor.
func (w *weights) blockDim(name string, i int) int {
	for n := range w.depth() {
		if d := w.dim(arch.BlockName(n, name), i); d != 0 {
			return d
		}
	}
	return 0
}

// take marks a tensor as used and checks its shape, ignoring leading ones. If the tensor is missing or has
// another shape, take records that and returns false.
func (w *weights) take(name string, shape ...int) (safetensors.Tensor, bool) {
	t, ok := w.tensors[name]
	if !ok {
		w.missing = append(w.missing, name)
		return t, false
	}
	w.taken[name] = true
	if !slices.Equal(squeeze(t.Shape), squeeze(shape)) {
		w.wrong = append(w.wrong, fmt.Sprintf("%s has shape %d, expected %d", t.Name, t.Shape, shape))
		return t, false
	}
	return t, true
}

func squeeze(shape []int) []int {
	for len(shape) > 0 && shape[0] == 1 {
		shape = shape[1:]
	}
	return shape
}

// problems returns an error that lists all tensors that are missing, unused or of the wrong shape.
func (w *weights) problems() error {
	unused := slices.Clone(w.unknown)
	for _, name := range slices.Sorted(maps.Keys(w.tensors)) {
		if !w.taken[name] && !slices.Contains(w.tensors[name].Shape, 0) {
			unused = append(unused, w.tensors[name].Name)
		}
	}
	if len(w.missing)+len(w.wrong)+len(unused) == 0 {
		return nil
	}
	return w.unfit(unused)
}

func (w *weights) unfit(unused []string) error {
	var parts []string
	if len(w.wrong) > 0 {
		parts = append(parts, list(w.wrong))
	}
	parts = append(parts, "missing: "+list(w.fileNames(w.missing)), "unused: "+list(unused))
	return fmt.Errorf("vit: %s: tensors do not fit the model: %s", w.path, strings.Join(parts, "; "))
}

// list joins names, truncating a long list.
func list(names []string) string {
	const most = 12
	if len(names) == 0 {
		return "none"
	}
	short := make([]string, 0, most)
	for _, n := range names[:min(len(names), most)] {
		if len(n) > 120 {
			n = n[:120] + "..."
		}
		short = append(short, n)
	}
	s := strings.Join(short, ", ")
	if len(names) > most {
		s += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return s
}

// fileNames translates canonical names into those that the file would use, modelled on a block that has them.
func (w *weights) fileNames(canon []string) []string {
	names := make([]string, len(canon))
	for i, c := range canon {
		names[i] = w.fileName(c)
	}
	return names
}

func (w *weights) fileName(canon string) string {
	rest, inBlock := strings.CutPrefix(canon, "blocks.")
	if inBlock {
		number, inside, _ := strings.Cut(rest, ".")
		for i := range w.depth() { // the same weight of another block
			if t, ok := w.tensors[arch.BlockName(i, inside)]; ok {
				return strings.Replace(t.Name, "."+strconv.Itoa(i)+".", "."+number+".", 1)
			}
		}
	}
	stem, last := canon, ""
	if dot := strings.LastIndexByte(canon, '.'); dot >= 0 {
		stem, last = canon[:dot], canon[dot:]
	}
	other := map[string]string{".weight": ".bias", ".bias": ".weight"}[last]
	if t, ok := w.tensors[stem+other]; ok && other != "" && strings.HasSuffix(t.Name, other) { // its bias or weight
		return strings.TrimSuffix(t.Name, other) + last
	}
	names := w.naming.top
	if inBlock {
		names = w.naming.block
		if _, inside, ok := strings.Cut(rest, "."); ok {
			stem = strings.TrimSuffix(inside, last)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch names[name] {
		case stem:
			return wordFor(canon, w.prefix(canon)+name+last)
		case stem + last:
			return wordFor(canon, w.prefix(canon)+name)
		}
	}
	return canon
}

// prefix returns the file's prefix of a backbone name. Heads have none.
func (w *weights) prefix(canon string) string {
	if strings.HasPrefix(canon, "head") || strings.HasPrefix(canon, "project") {
		return ""
	}
	for _, t := range w.tensors {
		for _, p := range w.naming.prefixes {
			if strings.HasPrefix(t.Name, p) {
				return p
			}
		}
	}
	return ""
}

// wordFor returns a name for a weight that has no counterpart in the file: the naming's own name, and the
// block.
func wordFor(canon, name string) string {
	if rest, ok := strings.CutPrefix(canon, "blocks."); ok {
		number, _, _ := strings.Cut(rest, ".")
		return name + " of block " + number
	}
	return name
}

// essentials checks for the tensors that are needed to infer a file's shape.
func (w *weights) essentials() error {
	for _, name := range []string{"patch_embed.weight", "pos_embed"} {
		if !w.has(name) && !(name == "pos_embed" && w.naming.unplaced) {
			w.missing = append(w.missing, name)
		}
	}
	if w.depth() == 0 {
		w.missing = append(w.missing, "blocks.0")
	}
	if t, ok := w.tensors["patch_embed.weight"]; ok && len(t.Shape) != 4 {
		w.wrong = append(w.wrong, fmt.Sprintf("%s has shape %d, expected [d, 3, patch, patch]", t.Name, t.Shape))
	}
	if len(w.missing)+len(w.wrong) == 0 {
		return nil
	}
	return w.unfit(w.unknown)
}
