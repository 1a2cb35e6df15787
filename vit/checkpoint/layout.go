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

// A layout is the names and shapes that a program other than timm and transformers gives the weights of a ViT. Its
// tensors are brought under timm's names, and its configuration into timm's words, so that one reader knows them all.
type layout struct {
	name   string
	marker string // part of a name that no other layout has, behind whatever wraps the model
	needs  string // a name that is there as well, so that a tower of texts is none of images
	from   func(in *naturalTensors) error
}

// layouts are tried in this order.
var layouts = []*layout{&clipLayout, &torchvisionLayout, &monaiLayout, &googleLayout, &timmLayout}

// naturalTensors are the tensors of a file on their way to timm's names.
type naturalTensors struct {
	file    map[string]safetensors.Tensor // without what wraps the model
	out     map[string]safetensors.Tensor
	depth   int
	heads   int       // as shapes tell, 0: they do not
	doc     fields    // model_args of timm
	arch    string    // of timm, whose blocks are the same
	prepare *timmHint // how images are prepared, where the layout tells
	note    string
	left    []string // names that have no part in features
	err     error
}

// timmHint is a way from image to input that follows from a layout, and in whose name.
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

// putPermuted puts a tensor whose dimension i is dimension order[i] of t.
func (in *naturalTensors) putPermuted(name string, t safetensors.Tensor, order ...int) {
	if len(order) != len(t.Shape) {
		in.err = fmt.Errorf("%s has shape %d, expected %d dimensions", t.Name, t.Shape, len(order))
		return
	}
	in.put(name, permuted(t, order))
}

// permuted copies a tensor with its dimensions in another order.
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

// translated is a base of another layout in timm's words.
type translated struct {
	*timmConfig
	tensors *safetensors.File
	notes   []string
}

// translate brings a file under timm's names, if it has another layout or is wrapped; nil if it is as it should be.
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
			in.file["visual_projection.weight"] = t // open_clip's map to the space of texts, beside the trunk
		} else {
			outside = append(outside, name)
		}
	}
	if l == &clipLayout && src.files.OpenCLIP == nil {
		if _, own := f.Tensor("input_resolution"); !own {
			return nil, fmt.Errorf("a CLIP tower's activation cannot be told from its tensors: expected %s beside it", openCLIPConfigName)
		}
		in.doc["act_layer"] = "quick_gelu" // OpenAI's own files have this tensor
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

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// recognise finds the layout of a file, and what is before the names of the model in it. nil if it has none of them, as
// files of transformers.
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

// config says in timm's words what the tensors are.
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

// publishedNames are file names that tell a model of Meta's, whose preprocessing is known.
var publishedNames = regexp.MustCompile(`^dinov2_vit([sblg])14(_reg4)?_(pretrain|linear_head)`)

// namedHint is what the name of a file tells about how images are prepared.
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
