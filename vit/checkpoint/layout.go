package checkpoint

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"melo.example/melo/imaging/processor"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
)

// A layout is how a program other than timm and transformers names and shapes the weights of a ViT. Its tensors
// are renamed to timm's names and its configuration is translated to timm's arguments, so that the reader for
// timm handles all of them.
type layout struct {
	name   string
	marker string // part of a name that only this layout has, after any prefix of a wrapping model
	needs  string // a name that must also be present, to exclude text towers
	from   func(in *naturalTensors) error
}

// layouts lists the known layouts in the order in which they are tried.
var layouts = []*layout{&clipLayout, &torchvisionLayout, &monaiLayout, &googleLayout, &timmLayout}

// naturalTensors holds the tensors of a file while they are renamed to timm's names.
type naturalTensors struct {
	file    map[string]safetensors.Tensor // by name without the prefix of a wrapping model
	out     map[string]safetensors.Tensor
	depth   int
	heads   int       // number of heads if shapes give it, else 0
	doc     fields    // timm's model_args
	arch    string    // timm's architecture with the same blocks
	prepare *timmHint // preprocessing, if the layout determines it
	note    string
	left    []string // names of tensors that features do not depend on
	err     error
}

// timmHint is preprocessing that follows from a layout, and the name to report for it.
type timmHint struct {
	cfg  processor.TimmConfig
	note string
}

func (in *naturalTensors) names() []string { return slices.Sorted(maps.Keys(in.file)) }

func (in *naturalTensors) get(name string) safetensors.Tensor { return in.file[name] }

func (in *naturalTensors) has(name string) bool { _, ok := in.file[name]; return ok }

func (in *naturalTensors) put(name string, t safetensors.Tensor) {
	if _, dup := in.out[name]; dup && in.err == nil {
		in.err = fmt.Errorf("two tensors are %s", name)
	}
	t.Name = name
	in.out[name] = t
	if rest, ok := strings.CutPrefix(name, "blocks."); ok {
		number, _, _ := strings.Cut(rest, ".")
		var n int
		if _, err := fmt.Sscanf(number, "%d", &n); err == nil && n >= 0 && n < arch.MaxDepth {
			in.depth = max(in.depth, n+1)
		}
	}
}

func (in *naturalTensors) leave(name string) { in.left = append(in.left, name) }

// putPermuted stores a tensor after permuting its dimensions: dimension i of the result is dimension order[i]
// of t.
func (in *naturalTensors) putPermuted(name string, t safetensors.Tensor, order ...int) {
	if len(order) != len(t.Shape) {
		in.err = fmt.Errorf("%s has shape %d, expected %d dimensions", t.Name, t.Shape, len(order))
		return
	}
	in.put(name, permuted(t, order))
}

// permuted copies a tensor with permuted dimensions.
func permuted(t safetensors.Tensor, order []int) safetensors.Tensor {
	size := t.DType.Size()
	strides := make([]int, len(t.Shape))
	for i, n := len(strides)-1, 1; i >= 0; i-- {
		strides[i], n = n, n*t.Shape[i]
	}
	out := safetensors.Tensor{DType: t.DType, Data: make([]byte, 0, len(t.Data))}
	by, index := make([]int, len(order)), make([]int, len(order))
	for i, o := range order {
		out.Shape, by[i] = append(out.Shape, t.Shape[o]), strides[o]
	}
	for at, left := 0, len(t.Data)/max(size, 1); left > 0; left-- {
		out.Data = append(out.Data, t.Data[at*size:(at+1)*size]...)
		for i := len(index) - 1; i >= 0; i-- {
			index[i]++
			at += by[i]
			if index[i] < out.Shape[i] {
				break
			}
			at -= by[i] * out.Shape[i]
			index[i] = 0
		}
	}
	return out
}

// fuse joins query, key and value of a block, or q, k and v, into qkv.
func (in *naturalTensors) fuse(p string) error {
	for _, last := range []string{".weight", ".bias"} {
		var whole safetensors.Tensor
		n := 0
		for _, name := range []string{"query", "key", "value"} {
			t, ok := in.out[p+"attn."+name+last]
			if !ok {
				continue
			}
			if n > 0 && (t.DType != whole.DType || len(t.Shape) != len(whole.Shape)) {
				return fmt.Errorf("%s%s does not go with the others of its block", p, name)
			}
			if n == 0 {
				whole = safetensors.Tensor{DType: t.DType, Shape: append([]int{0}, t.Shape[1:]...)}
			}
			whole.Shape[0] += t.Shape[0]
			whole.Data = append(whole.Data, t.Data...)
			delete(in.out, p+"attn."+name+last)
			n++
		}
		if n == 0 {
			continue
		}
		if n != 3 {
			return fmt.Errorf("block %s has %d of query, key and value%s", p, n, last)
		}
		in.put(p+"attn.qkv"+last, whole)
	}
	return nil
}

// translated is a base of another layout, described in timm's terms.
type translated struct {
	*timmConfig
	tensors *safetensors.File
	notes   []string
}

// translate renames the tensors of a file with another layout, or inside a wrapping model, to timm's names. It
// returns nil if no translation is needed.
func translate(f *safetensors.File, src *source, o Options) (*translated, error) {
	l, prefix, err := recognise(f)
	if l == nil || err != nil {
		return nil, err
	}
	if l == &timmLayout && prefix == "" && src.files.Config != nil && src.files.OpenCLIP == nil {
		return nil, nil
	}
	in := &naturalTensors{file: map[string]safetensors.Tensor{}, out: map[string]safetensors.Tensor{}, arch: "vit_base_patch16_224", doc: fields{}}
	var outside []string
	for _, name := range f.Names() {
		t, _ := f.Tensor(name)
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			in.file[rest] = t
		} else if inner, ok := strings.CutPrefix(name, path.Dir(strings.ReplaceAll(prefix, ".", "/"))+"."); ok && l == &timmLayout && inner == "head.proj.weight" {
			// open_clip's projection to the space shared with text, stored outside the trunk
			in.file["visual_projection.weight"] = t
		} else {
			outside = append(outside, name)
		}
	}
	if i := slices.IndexFunc(outside, func(name string) bool { return strings.HasPrefix(name, parentOf(prefix)+"attn_pool") }); i >= 0 && prefix != "" {
		return nil, fmt.Errorf("the model under %q is pooled by attention of a kind of its own (%s): this is not supported", strings.TrimSuffix(prefix, "."), outside[i])
	}
	if l == &clipLayout && src.files.OpenCLIP == nil {
		if _, own := f.Tensor("input_resolution"); !own {
			return nil, fmt.Errorf("a CLIP tower's activation cannot be told from its tensors: expected %s beside it", openCLIPConfigName)
		}
		in.doc["act_layer"] = "quick_gelu" // only OpenAI's own files have this tensor
		in.prepare = &timmHint{clipPrepare(), "the file is OpenAI's: images are prepared as for its CLIP"}
	}
	if err := l.from(in); err != nil || in.err != nil {
		return nil, fmt.Errorf("%s: %w", l.name, firstError(err, in.err))
	}
	t := &translated{}
	if prefix != "" {
		t.notes = append(t.notes, fmt.Sprintf("the model lies under %q", strings.TrimSuffix(prefix, ".")))
	}
	if n := len(outside) + len(in.left); n > 0 {
		t.notes = append(t.notes, fmt.Sprintf("%d tensors have no part in features and are left out: %s", n, list(append(in.left, outside...))))
	}
	if in.note != "" {
		t.notes = append(t.notes, in.note)
	}
	if t.timmConfig, err = in.config(src, o); err != nil {
		return nil, err
	}
	tensors := slices.Collect(maps.Values(in.out))
	t.tensors = safetensors.FromViews(f.Path(), nil, tensors, f.Close)
	return t, nil
}

// parentOf returns the prefix of the module that has the one with this prefix: "visual." of "visual.trunk.".
func parentOf(prefix string) string {
	prefix = strings.TrimSuffix(prefix, ".")
	return prefix[:strings.LastIndexByte(prefix, '.')+1]
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// recognise finds the layout of a file, and the prefix before the model's names. It returns nil if the file has
// none of the layouts, for example because transformers wrote it.
func recognise(f *safetensors.File) (*layout, string, error) {
	for _, l := range layouts {
		prefixes := map[string]bool{}
		for _, name := range f.Names() {
			if at := strings.Index(name, l.marker); at >= 0 && (at == 0 || name[at-1] == '.' || name[at-1] == '/') {
				if _, ok := f.Tensor(name[:at] + l.needs); l.needs != "" && !ok {
					continue
				}
				prefixes[name[:at]] = true
			}
		}
		if len(prefixes) == 0 {
			continue
		}
		all := slices.Sorted(maps.Keys(prefixes))
		if len(all) == 1 {
			return l, all[0], nil
		}
		for _, best := range []string{"teacher", "target_encoder", "ema", "visual"} {
			for _, p := range all {
				if strings.Contains(p, best) {
					return l, p, nil
				}
			}
		}
		return nil, "", fmt.Errorf("holds several models, under %s: leave one in it", list(all))
	}
	return nil, "", nil
}

// config describes the network in timm's terms.
func (in *naturalTensors) config(src *source, o Options) (*timmConfig, error) {
	if src.files.OpenCLIP != nil {
		return in.openCLIP(src)
	}
	if src.files.Config != nil {
		return parseTimm(src.files.Config)
	}
	c := &timmConfig{arch: timmArch{act: arch.GELUErf}, recipe: imagingSource{none: true}, inferred: true}
	c.arch.clip = in.arch == "vit_base_patch16_clip_224"
	text, err := jsonText(in.doc)
	if err != nil {
		return nil, err
	}
	if err := decode(text, &c.Args); err != nil {
		return nil, err
	}
	if c.Args.NumHeads == 0 {
		c.Args.NumHeads = in.heads
	}
	if o.Heads > 0 {
		c.Args.NumHeads = o.Heads
	}
	hint := in.prepare
	if hint == nil {
		hint = namedHint(src.weights)
	}
	if hint != nil {
		r, err := hint.cfg.Recipe()
		if err != nil {
			return nil, err
		}
		c.recipe = imagingSource{recipe: r, note: hint.note, loose: true, timm: &hint.cfg}
	}
	return c, nil
}

// publishedNames matches the file names of models published by Meta, whose preprocessing is known.
var publishedNames = regexp.MustCompile(`^dinov2_vit([sblg])14(_reg4)?_(pretrain|linear_head)`)

// namedHint returns the preprocessing that the name of a file implies.
func namedHint(file string) *timmHint {
	m := publishedNames.FindStringSubmatch(filepath.Base(file))
	if m == nil {
		return nil
	}
	name := "vit_" + map[string]string{"s": "small", "b": "base", "l": "large", "g": "giant"}[m[1]] + "_patch14_"
	if m[2] != "" {
		name += "reg4_"
	}
	cfg, ok := processor.TimmDefault(name + "dinov2")
	if !ok {
		return nil
	}
	cfg.InputSize = nil
	return &timmHint{*cfg, fmt.Sprintf("the file is named as Meta's DINOv2: images are prepared as timm does for %sdinov2", name)}
}
