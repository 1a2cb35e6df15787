package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"melo.example/melo/imaging/processor"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
)

// ExportOptions select how Export writes a base.
type ExportOptions struct {
	Source string            // naming scheme to write: "hf" or "timm"; empty: that of the base
	DType  safetensors.DType // F32, F16 or BF16 for all floating-point tensors; empty: as stored
	Heads  int               // number of attention heads, for files that do not record it
	// Prepare overrides what the files say about preprocessing. The written base records the result.
	Prepare processor.Override
}

// Exported is the content of a folder with a base.
type Exported struct {
	From, Source string                   // naming schemes of the base and of the export: "hf" or "timm"
	Tensors      []safetensors.TensorData // contents of model.safetensors
	Files        map[string][]byte        // config.json, and preprocessor_config.json if there is one
	Notes        []string                 // differences from the original
}

// WriteFolder writes the folder atomically, with metadata for model.safetensors in addition to its format. If
// ctx is cancelled, nothing is written. more holds further files of the folder, by name.
func (x *Exported) WriteFolder(ctx context.Context, dir string, metadata map[string]string, more ...map[string][]byte) error {
	files := map[string]func(io.Writer) error{
		"model.safetensors": func(w io.Writer) error {
			return safetensors.Write(atomicfile.Interruptible(ctx, w), x.Tensors, x.metadata(metadata))
		},
	}
	for _, list := range append([]map[string][]byte{x.Files}, more...) {
		for name, text := range list {
			files[name] = func(w io.Writer) error {
				_, err := w.Write(text)
				return err
			}
		}
	}
	return atomicfile.WriteFolder(dir, 0o666, files)
}

// Digest returns the digest "sha256:..." of the model.safetensors that [Exported.WriteFolder] writes.
func (x *Exported) Digest(metadata map[string]string) (string, error) {
	h := sha256.New()
	if err := safetensors.Write(h, x.Tensors, x.metadata(metadata)); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// metadata adds the format key that transformers expects.
func (x *Exported) metadata(more map[string]string) map[string]string {
	m := map[string]string{"format": "pt"}
	maps.Copy(m, more)
	return m
}

// Export checks the base at path, as Open does, and calls write with the same base under other tensor names or
// in another data type. The tensors are valid during the call. Only plain ViTs with a class token can be
// renamed, because their tensors mean the same in both libraries. The error for other backbones names the part
// that prevents it.
func Export(path string, o ExportOptions, write func(*Exported) error) error {
	c, err := Open(path, Options{Heads: o.Heads, Prepare: o.Prepare})
	if err != nil {
		return err
	}
	err = c.Guard(path, func() error {
		if err := c.Verify(); err != nil {
			return err
		}
		x, err := export(c, o)
		if err != nil {
			return fmt.Errorf("vit: %s: %w", path, err)
		}
		return write(x)
	})
	return errors.Join(err, c.Close())
}

func export(c *Checkpoint, o ExportOptions) (x *Exported, err error) {
	m := &c.Description
	if o.Source == "" {
		o.Source = m.Source
	}
	x = &Exported{From: m.Source, Source: o.Source, Files: map[string][]byte{}}
	if m.RecipeNote == ErrNoRecipe.Error() {
		return nil, ErrNoRecipe
	}
	if o.Source == m.Source {
		if err := x.keep(c, o); err != nil {
			return nil, err
		}
	} else if err = x.rename(c.file, c.names, m, o); err != nil {
		return nil, err
	}
	if o.DType == safetensors.F16 {
		if err := fitsF16(x.Tensors); err != nil {
			return nil, err
		}
	}
	for i := range x.Tensors {
		x.Tensors[i] = retype(x.Tensors[i], o.DType)
	}
	return x, nil
}

// keep fills x with the base's own names. It keeps the source's config.json, or writes a complete one if there
// is none.
func (x *Exported) keep(c *Checkpoint, o ExportOptions) error {
	m := &c.Description
	own := c.src.files.Config != nil && !c.translated
	if own && untoldGate(c) {
		if err := x.timmFiles(m); err == nil {
			x.Notes = append(x.Notes, fmt.Sprintf("%s names an architecture with a gated MLP, as the arguments that timm reads from a file cannot say it", configName))
			own = false
		}
	}
	switch {
	case len(x.Files) > 0:
	case own:
		x.Files[configName] = withDType(c.src.files.Config, o.DType)
		if err := x.describeImages(c.src, m, !o.Prepare.Empty()); err != nil {
			return err
		}
	case m.Source == "hf":
		if err := renamable(m); err != nil {
			return fmt.Errorf("has no %s to go with it, and %w", configName, err)
		}
		if err := x.hfFiles(m); err != nil {
			return err
		}
	default:
		if err := x.timmFiles(m); err != nil {
			return err
		}
	}
	for _, name := range c.file.Names() {
		if m.Source == "timm" && name == "visual_projection.weight" { // timm's model has no such parameter
			x.Notes = append(x.Notes, "the map to the space that images share with texts is left out")
			continue
		}
		t, _ := c.file.Tensor(name)
		if m.Source == "timm" && c.translated {
			t.Shape = timmShape(name, t.Shape)
		}
		x.Tensors = append(x.Tensors, data(name, t))
	}
	x.Notes = append(x.Notes, m.Notes...)
	return nil
}

// untoldGate reports whether a base of timm has a packed SwiGLU that its configuration does not say: cards of such bases say it
// in Python.
func untoldGate(c *Checkpoint) bool {
	if c.Source != "timm" || !c.SwiGLU || sayable(&c.Config) != nil {
		return false
	}
	var doc struct{ Architecture string }
	if json.Unmarshal(c.src.files.Config, &doc) != nil {
		return false
	}
	name, _, _ := strings.Cut(doc.Architecture, ".")
	return name != "vit_giant_patch14_dinov2" && name != "vit_giant_patch14_reg4_dinov2"
}

// timmShape returns the shape of tokens and positions in timm, which has a batch dimension that other layouts
// lack.
func timmShape(name string, shape []int) []int {
	if strings.HasSuffix(name, "_token") || name == "pos_embed" {
		for len(shape) < 3 {
			shape = append([]int{1}, shape...)
		}
	}
	return shape
}

// data returns a tensor of the file. Its values are read into memory only while it is written.
func data(name string, t safetensors.Tensor) safetensors.TensorData {
	return safetensors.TensorData{Name: name, DType: t.DType, Shape: t.Shape, Fill: func(use func([]byte) error) error {
		defer t.Forget()
		return use(t.Data)
	}}
}

// floating reports whether a tensor has floating-point values, which can be stored in another type.
func floating(t *safetensors.TensorData) bool {
	return t.DType == safetensors.F64 || t.DType == safetensors.F32 || t.DType == safetensors.F16 || t.DType == safetensors.BF16
}

// valuesOf calls use with the values of a floating-point tensor.
func valuesOf(t safetensors.TensorData, use func(values []float32) error) error {
	return t.Fill(func(data []byte) error {
		values, err := safetensors.Tensor{Name: t.Name, DType: t.DType, Shape: t.Shape, Data: data}.Float32s(nil)
		if err != nil {
			return err
		}
		return use(values)
	})
}

// retype converts a floating-point tensor to dtype when it is written.
func retype(t safetensors.TensorData, dtype safetensors.DType) safetensors.TensorData {
	if dtype == "" || dtype == t.DType || !floating(&t) {
		return t
	}
	return safetensors.TensorData{Name: t.Name, DType: dtype, Shape: t.Shape, Fill: func(use func([]byte) error) error {
		return valuesOf(t, func(values []float32) error {
			converted, err := safetensors.FromFloat32s(t.Name, dtype, t.Shape, values)
			if err != nil {
				return err
			}
			return use(converted.Data)
		})
	}}
}

// fitsF16 returns an error if a value would overflow to infinity.
func fitsF16(tensors []safetensors.TensorData) error {
	for _, t := range tensors {
		if !floating(&t) {
			continue
		}
		err := valuesOf(t, func(values []float32) error {
			for _, v := range values {
				if math.Abs(float64(v)) >= 65520 { // rounds to infinity
					return fmt.Errorf("tensor %q: %g is too large for %s", t.Name, v, safetensors.F16)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// withDType updates the data type in config.json if it is there.
func withDType(config []byte, dtype safetensors.DType) []byte {
	name, ok := map[safetensors.DType]string{safetensors.F32: "float32", safetensors.F16: "float16", safetensors.BF16: "bfloat16"}[dtype]
	var doc map[string]json.RawMessage
	if !ok || json.Unmarshal(config, &doc) != nil {
		return config
	}
	for _, key := range []string{"dtype", "torch_dtype"} {
		if old, given := doc[key]; given && bytes.HasPrefix(old, []byte(`"`)) {
			doc[key] = json.RawMessage(`"` + name + `"`)
		}
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return config
	}
	return append(text, '\n')
}

// renamable returns an error that says why a base cannot be expressed in the other library.
func renamable(m *Description) error {
	for _, x := range []struct {
		has  bool
		what string
	}{
		{m.Family != "vit" && m.Family != "deit", "family " + m.Family}, {m.Dist, "a distillation token"},
		{!m.Class || !m.PosPrefix, "no class token with a position"}, {m.Registers > 0, "registers"},
		{m.PreNorm, "a norm before the blocks"}, {m.PoolNorm || !m.FinalNorm, "a norm after pooling"},
		{m.Pooling != arch.PoolClass, "mean pooling"}, {m.SwiGLU, "SwiGLU"}, {m.LayerScale, "LayerScale"},
		{m.Act != arch.GELUErf, "another activation than gelu"},
	} {
		if x.has {
			return fmt.Errorf("has %s: only plain ViTs with a class token can be given the names of the other library", x.what)
		}
	}
	return nil
}

// rename fills x with the tensor names and the configuration of the other library.
func (x *Exported) rename(f *safetensors.File, names *naming, m *Description, o ExportOptions) error {
	w, err := newWeights(f, names)
	if err != nil {
		return err
	}
	if err := renamable(m); err != nil {
		return err
	}
	if rows := w.dim("pos_embed", -2); rows != m.Tokens() {
		return fmt.Errorf("has %d position embeddings for %d tokens: only such as need no resizing can be renamed", rows, m.Tokens())
	}
	to, prefix := &timmNames, ""
	if o.Source == "hf" {
		to = &hfNames
		if m.Classes > 0 {
			prefix = "vit."
		}
	} else if o.Source != "timm" {
		return fmt.Errorf("names %q, expected hf or timm", o.Source)
	}
	tensors := maps.Clone(w.tensors)
	if err := recut(tensors, m.Depth, o.Source == "timm"); err != nil {
		return err
	}
	for _, canon := range slices.Sorted(maps.Keys(tensors)) {
		name := to.name(canon)
		if !strings.HasPrefix(canon, "head") {
			name = prefix + name
		}
		x.Tensors = append(x.Tensors, data(name, tensors[canon]))
	}
	if n := len(f.Names()) - len(w.tensors); n > 0 {
		x.Notes = append(x.Notes, fmt.Sprintf("%d tensors that classification does not need are left out", n))
	}
	if o.Source == "hf" {
		return x.hfFiles(m)
	}
	return x.timmFiles(m)
}

// recut joins q, k and v of each block into one tensor, or splits them.
func recut(tensors map[string]safetensors.Tensor, depth int, fuse bool) error {
	for i := range depth {
		for _, last := range []string{".weight", ".bias"} {
			whole := arch.BlockName(i, "qkv"+last)
			parts := make([]string, 3)
			for j, p := range []string{"q", "k", "v"} {
				parts[j] = arch.BlockName(i, p+last)
			}
			if _, ok := tensors[parts[0]]; ok && fuse {
				first := tensors[parts[0]]
				// in memory, not mapped
				t := safetensors.Tensor{Name: first.Name, DType: first.DType, File: first.File, Shape: slices.Clone(first.Shape)}
				t.Shape[0] *= 3
				for _, p := range parts {
					if tensors[p].DType != t.DType {
						return fmt.Errorf("tensor %q is %s beside %s", tensors[p].Name, tensors[p].DType, t.DType)
					}
					t.Data = append(t.Data, tensors[p].Data...)
					delete(tensors, p)
				}
				tensors[whole] = t
			}
			if t, ok := tensors[whole]; ok && !fuse {
				n := len(t.Data) / 3
				for j, p := range parts {
					part := t
					part.Shape = slices.Clone(t.Shape)
					part.Shape[0] /= 3
					part.Data = t.Data[j*n : (j+1)*n]
					tensors[p] = part
				}
				delete(tensors, whole)
			}
		}
	}
	return nil
}

// name is the inverse of canonical for plain ViTs. If a weight has several names, it is the one used in files
// (Hugging Face's files kept the names of transformers 4), without prefix.
func (s *naming) name(canon string) string {
	names, before, rest := s.top, "", canon
	if inside, ok := strings.CutPrefix(canon, "blocks."); ok {
		number, part, _ := strings.Cut(inside, ".")
		names, before, rest = s.block, s.blocks[0]+number+".", part
	}
	stem, last := rest, ""
	if dot := strings.LastIndexByte(rest, '.'); dot >= 0 {
		stem, last = rest[:dot], rest[dot:]
	}
	preferred := map[string]string{"q": "attention.attention.query", "k": "attention.attention.key", "v": "attention.attention.value",
		"proj": "attention.output.dense", "fc1": "intermediate.dense", "fc2": "output.dense", "norm1": "layernorm_before",
		"norm2": "layernorm_after", "head": "classifier"}
	if name := preferred[stem]; s.source == "hf" && names[name] == stem {
		return before + name + last
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if names[name] == stem {
			return before + name + last
		}
	}
	return canon
}
