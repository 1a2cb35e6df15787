package adapterfile

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// A LoRA-ViT ("MeLo") file holds only tensors: w_a_NNN [r, d] and w_b_NNN [d, r], numbered over the wrapped
// blocks only, with even numbers for q and odd ones for v; and the head's weight fc_{in}in_{out}out [out, in].
// It does not record the head's bias, alpha, or which blocks are wrapped.
var (
	loravitPattern = regexp.MustCompile(`^w_([ab])_(\d{3,4})$`)
	loravitHead    = regexp.MustCompile(`^fc_(\d{1,7})in_(\d{1,7})out$`)
)

// What WriteLoRAViT adds to the format. LoRA-ViT looks tensors up by name, so it ignores the additions.
const (
	loravitBias   = "_bias"       // after the name of the head's weight: [out], left out if zero
	loravitAlpha  = "melo.alpha"  // in the header's metadata: a decimal number
	loravitBlocks = "melo.blocks" // likewise: the wrapped blocks, "0,1,2"
)

// loravitKey reports whether a tensor name belongs to LoRA-ViT's format.
func loravitKey(name string) bool {
	return loravitPattern.MatchString(name) || loravitHead.MatchString(name)
}

// LoRAViTOptions supplies what a LoRA-ViT file does not record.
type LoRAViTOptions struct {
	Import
	// Alpha gives the scale alpha / r in integer division, as in LoRA-ViT: for r = 4, alpha 6 gives 1, and
	// alpha 2 gives 0, an adapter without effect. 0: the value recorded by WriteLoRAViT.
	Alpha int
	// Blocks lists the wrapped blocks in ascending order. nil: those recorded by WriteLoRAViT, or all if the
	// number of pairs agrees with the base. With Look, unknown values default to alpha = r and the first
	// blocks.
	Blocks []int
}

// UntoldError reports that a file of another format lacks information that is needed to use it.
type UntoldError struct {
	Path string
	What string // "alpha", "blocks", "labels" or "base"
	Why  string // explanation for a person
}

// Error names the file and the missing information.
func (e *UntoldError) Error() string {
	return fmt.Sprintf("adapterfile: %s: does not tell %s: %s", e.Path, e.What, e.Why)
}

// ReadLoRAViT reads a LoRA-ViT file. A head without bias gets a bias of zeros. A file may have no head, or only
// a head.
func ReadLoRAViT(path string, o LoRAViTOptions) (*File, error) {
	return importFile(path, o.limit(), func(st *safetensors.File) (*File, error) { return parseLoRAViT(st, o) })
}

func parseLoRAViT(st *safetensors.File, o LoRAViTOptions) (*File, error) {
	alpha, err := o.noted(st.Metadata())
	if err != nil {
		return nil, err
	}
	f := &File{Adapter: &lora.Adapter{}, Path: st.Path(), From: LoRAViT}
	f.Meta.Base.Source = "timm"
	r := newReader(st)
	n := loravitCount(st)
	rank, width := loravitShape(st, n)
	untold := o.untold(st.Path(), alpha < 0, n/2)
	if alpha < 0 {
		alpha = rank
	}
	effective := float32(alpha / rank * rank) // effective / r equals the scale in integer division
	if o.Blocks == nil {
		for i := range n / 2 {
			o.Blocks = append(o.Blocks, i)
		}
	}
	for i := range n {
		a := r.floats(fmt.Sprintf("w_a_%03d", i), rank, width)
		b := r.floats(fmt.Sprintf("w_b_%03d", i), width, rank)
		if a == nil || b == nil || i/2 >= len(o.Blocks) {
			continue
		}
		f.Adapter.Deltas = append(f.Adapter.Deltas, lora.Delta{
			Site: vit.Site{Block: o.Blocks[i/2], Kind: []vit.Kind{vit.Q, vit.V}[i%2]}, Rank: rank,
			Alpha: effective, Scale: lora.ScaleFor(effective, rank, false), A: a, B: b,
		})
	}
	f.Adapter.Head = r.loravitHead()
	if err := r.finish(); err != nil {
		return nil, err
	}
	if n%2 != 0 || n/2 != len(o.Blocks) {
		return nil, fmt.Errorf("%d pairs of matrices, expected 2 (q and v) for each of %d blocks", n, len(o.Blocks))
	}
	if untold != nil {
		return nil, untold
	}
	f.Meta.Base.Width = width
	var hyperparameters map[string]any
	if n > 0 {
		hyperparameters = map[string]any{"alpha": alpha}
	} else if h := f.Adapter.Head; h != nil {
		f.Meta.Base.Width = h.Features
	} else {
		return nil, errors.New("neither w_a_000 nor a head")
	}
	return f, f.imported("loravit", hyperparameters, o.Import)
}

// untold returns an error about missing information for a file with pairs for the given number of blocks, or
// nil if nothing is missing.
func (o *LoRAViTOptions) untold(path string, alpha bool, blocks int) error {
	switch {
	case o.Look || blocks == 0:
	case alpha:
		return &UntoldError{path, "alpha", "LoRA-ViT is given it apart from the file, and its scale is alpha / rank"}
	case o.Blocks == nil && (o.Import.Base == nil || o.Import.Base.Depth != blocks):
		return &UntoldError{path, "blocks", fmt.Sprintf("it has pairs for %d, and not which of the base's these are", blocks)}
	}
	return nil
}

// noted returns alpha, or -1 if it is unknown, and completes the blocks from the metadata that WriteLoRAViT
// recorded.
func (o *LoRAViTOptions) noted(metadata map[string]string) (alpha int, err error) {
	const most = 1 << 20
	alpha = -1
	if o.Alpha < 0 || o.Alpha > most {
		return 0, fmt.Errorf("alpha %d, expected 0 to %d", o.Alpha, most)
	}
	if text := metadata[loravitAlpha]; text != "" {
		if alpha, err = strconv.Atoi(text); err != nil || alpha < 0 || alpha > most {
			return 0, fmt.Errorf("metadata %s %.40q, expected 0 to %d", loravitAlpha, text, most)
		}
	}
	if o.Alpha > 0 {
		alpha = o.Alpha
	}
	if text := metadata[loravitBlocks]; text != "" && o.Blocks == nil {
		for part := range strings.SplitSeq(text, ",") {
			block, err := strconv.Atoi(part)
			if err != nil || len(o.Blocks) == maxBlocks {
				return 0, fmt.Errorf("metadata %s %.40q, expected at most %d numbers", loravitBlocks, text, maxBlocks)
			}
			o.Blocks = append(o.Blocks, block)
		}
	}
	return alpha, nil
}

// loravitCount returns the number of pairs: the largest number in a name plus one.
func loravitCount(st *safetensors.File) int {
	n := 0
	for _, name := range st.Names() {
		if m := loravitPattern.FindStringSubmatch(name); m != nil {
			i, err := strconv.Atoi(m[2])
			if err == nil {
				n = max(n, i+1)
			}
		}
	}
	return n
}

// loravitShape returns rank and width of the first matrix in the file.
func loravitShape(st *safetensors.File, n int) (rank, width int) {
	for i := range n {
		if t, ok := st.Tensor(fmt.Sprintf("w_a_%03d", i)); ok && len(t.Shape) == 2 && t.Shape[0] > 0 && t.Shape[0] <= maxRank {
			return t.Shape[0], t.Shape[1]
		}
	}
	return 1, 0
}

// loravitHead returns the head, or nil if there is none.
func (r *reader) loravitHead() *vit.Head {
	for _, name := range r.st.Names() {
		m := loravitHead.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		in, _ := strconv.Atoi(m[1]) // cannot fail: the pattern matched digits
		out, _ := strconv.Atoi(m[2])
		if in == 0 || out == 0 || out > maxLabels {
			r.used[name] = true
			r.fail("tensor %s: expected 1 to %d classes on some features", quote(name), maxLabels)
			return nil
		}
		h := &vit.Head{Classes: out, Features: in, W: r.floats(name, out, in)}
		if _, ok := r.st.Tensor(name + loravitBias); ok {
			h.Bias = r.floats(name+loravitBias, out)
		} else if h.W != nil {
			h.Bias = make([]float32, out)
		}
		return h
	}
	return nil
}

// WriteLoRAViT writes f at path in LoRA-ViT's format, atomically, with all tensors as dtype. It returns the
// alpha to pass to LoRA-ViT. The format can express only q and v, adapted together with one rank and one
// integer scale (Fold makes every scale 1). LoRA-ViT does not read the head's bias, alpha and the blocks; they
// are recorded for ReadLoRAViT. If f cannot be expressed the error is a *FormatError.
func (f *File) WriteLoRAViT(path string, dtype safetensors.DType) (alpha int, err error) {
	tensors, metadata, alpha, err := f.loravit(dtype)
	if err != nil {
		return 0, &FormatError{path, err}
	}
	return alpha, safetensors.WriteFile(path, filePerm, tensors, metadata)
}

func (f *File) loravit(dtype safetensors.DType) (tensors []safetensors.TensorData, metadata map[string]string, alpha int, err error) {
	if err := f.describe(); err != nil {
		return nil, nil, 0, err
	}
	if f.Meta.Method == lora.FullTuning {
		return nil, nil, 0, fmt.Errorf("method %q cannot be expressed in LoRA-ViT's format", f.Meta.Method)
	}
	add := func(name string, values []float32, shape ...int) {
		t, e := encodeTensor(name, dtype, values, shape)
		tensors, err = append(tensors, t), cmp.Or(err, e)
	}
	deltas := f.Adapter.Deltas
	if len(deltas) > 0 {
		var blocks []string
		if alpha, blocks, err = loravitFits(deltas); err != nil {
			return nil, nil, 0, err
		}
		metadata = map[string]string{loravitAlpha: strconv.Itoa(alpha), loravitBlocks: strings.Join(blocks, ",")}
	}
	for i, d := range deltas {
		add(fmt.Sprintf("w_a_%03d", i), d.A, d.Rank, len(d.A)/d.Rank)
		add(fmt.Sprintf("w_b_%03d", i), d.B, len(d.B)/d.Rank, d.Rank)
	}
	if h := f.Adapter.Head; h != nil {
		name := fmt.Sprintf("fc_%din_%dout", h.Features, h.Classes)
		add(name, h.W, h.Classes, h.Features)
		if slices.ContainsFunc(h.Bias, func(v float32) bool { return v != 0 }) {
			add(name+loravitBias, h.Bias, h.Classes)
		}
	}
	return tensors, metadata, alpha, err
}

// loravitFits returns alpha and the wrapped blocks, or an error that says what the format cannot express.
func loravitFits(deltas []lora.Delta) (alpha int, blocks []string, err error) {
	first := deltas[0]
	scale := int(first.Scale)
	for i, d := range deltas {
		want := vit.Site{Block: d.Site.Block, Kind: []vit.Kind{vit.Q, vit.V}[i%2]}
		if i%2 == 1 {
			want.Block = deltas[i-1].Site.Block
		}
		switch {
		case d.Site != want || i == len(deltas)-1 && i%2 == 0:
			return 0, nil, fmt.Errorf("%v: LoRA-ViT's format has q and v of a block, both and nothing else", d.Site)
		case d.Rank != first.Rank:
			return 0, nil, fmt.Errorf("%v: rank %d beside rank %d: LoRA-ViT has one for all", d.Site, d.Rank, first.Rank)
		case d.Scale != first.Scale || float32(scale) != d.Scale || scale < 0 || scale > 1<<10:
			return 0, nil, fmt.Errorf("%v: scale %g: LoRA-ViT has one whole number for all (folding the scale into B avoids that)", d.Site, d.Scale)
		}
		if i%2 == 0 {
			blocks = append(blocks, strconv.Itoa(d.Site.Block))
		}
	}
	return scale * first.Rank, blocks, nil
}
