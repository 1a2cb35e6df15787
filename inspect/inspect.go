// Package inspect finds out what a file or a folder is: a base, an adapter in any format that is read, or tensors; what it
// needs, and how it did.
package inspect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"melo.example/melo/bases"
	"melo.example/melo/imaging"
	"melo.example/melo/imaging/processor"
	"melo.example/melo/inspect/known"
	"melo.example/melo/internal/regular"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/checkpoint"
)

// Document is what a file is, and the --json document of "melo inspect".
type Document struct {
	Path       string         `json:"path"`
	Kind       string         `json:"kind"` // base, adapter, loravit, peft or tensors
	Bytes      int64          `json:"bytes"`
	Digest     string         `json:"digest,omitempty"`
	Tensors    int            `json:"tensors"`
	Parameters int64          `json:"parameters"`
	DTypes     map[string]int `json:"dtypes"`
	Base       *Base          `json:"base,omitempty"`    // of a base
	Adapter    *Adapter       `json:"adapter,omitempty"` // of an adapter in any format
	Licence    string         `json:"licence,omitempty"` // of the embedded base
	// Signatures are those of the file beside an adapter, SignatureNote what is wrong with it.
	Signatures    []Signature `json:"signatures,omitempty"`
	SignatureNote string      `json:"signature_note,omitempty"`
	// Nearest is the published model whose tensors those of a file resemble that is neither a base nor an adapter, or that
	// does not fit, if any does.
	Nearest  *known.Match      `json:"nearest,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	List     []Tensor          `json:"list,omitempty"`
}

// Tensor is one tensor of a file.
type Tensor struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
}

// Base is what a base is.
type Base struct {
	Family   string         `json:"family"`
	Naming   string         `json:"naming"` // "hf" or "timm"
	Width    int            `json:"width"`
	Depth    int            `json:"depth"`
	Heads    int            `json:"heads"`
	MLP      int            `json:"mlp"`
	SwiGLU   bool           `json:"swiglu"`
	Image    int            `json:"image"`
	Patch    int            `json:"patch"`
	Tokens   int            `json:"tokens"`
	Features int            `json:"features"`
	Classes  int            `json:"classes"`
	Recipe   imaging.Recipe `json:"recipe"`
	// RecipeNote says how the recipe was chosen where no file gives it, or that nothing does.
	RecipeNote string   `json:"recipe_note,omitempty"`
	Labels     []string `json:"labels,omitempty"`
}

// Adapter is what an adapter is; of a file of other software, as far as that tells.
type Adapter struct {
	Digest   string               `json:"digest,omitempty"` // of a native adapter
	Deltas   int                  `json:"delta_parameters"`
	Head     int                  `json:"head_parameters"`
	Metadata adapterfile.Metadata `json:"metadata"`

	// Sites are the adapted maps.
	Sites []lora.Delta `json:"-"`
}

// Options say how to look.
type Options struct {
	Tensors bool // list every tensor
	Heads   int  // number of attention heads, for bases whose files do not say it
	Prepare processor.Override
}

// Open looks at a file, a folder or [bases.Embedded], whose name bases.Path has resolved. Bases and adapters are read and
// checked completely; of other files only the header is read, and what published model they resemble is said. A document
// with an error is about tensors that are not what they seem to be.
func Open(path string, o Options) (*Document, error) {
	doc, names, err := tensors(path, o.Tensors)
	if err != nil {
		if file, _, e := checkpoint.Weights(path); e == nil { // of a folder the file with the weights
			path = file
		}
		if what := contentOf(path); what != "" {
			err = fmt.Errorf("%s: is %s, expected a base, an adapter or a file of tensors", path, what)
		}
		return nil, err
	}
	err = doc.describe(path, o)
	if doc.Kind == "tensors" {
		if m, ok := known.Of(names, doc.Parameters); ok {
			doc.Nearest = &m
			if err != nil && m.Likeness > other && !slices.Contains(read, m.Family) {
				err = fmt.Errorf("%s: is most likely %s of %s, which is no architecture that is read", path, m.Models[0], m.Package)
			}
		}
	}
	if err == nil && path == bases.Embedded {
		err = doc.embedded()
	}
	return doc, err
}

// other is the likeness from which a file that does not fit is said to be a model of a family that is not read.
const other = 0.9

// read are the families of timm, torchvision and transformers that files of bases may belong to.
var read = []string{"vision_transformer", "deit", "eva", "beit", "vit", "vit_mae", "vit_msn", "ijepa", "dinov2", "dinov2_with_registers",
	"dinov3_vit", "clip", "clip_vision_model", "siglip", "siglip_vision_model", "siglip2", "data2vec-vision", "naflexvit", "hybrid"}

// describe adds what the tensors mean.
func (d *Document) describe(path string, o Options) error {
	kind, err := adapterfile.BaseWeights, error(nil)
	if path != bases.Embedded {
		kind, err = adapterfile.Sniff(path)
	}
	if err != nil {
		return err
	}
	switch kind {
	case adapterfile.Native:
		f, err := adapterfile.Read(path)
		if err != nil {
			return err
		}
		d.Kind, d.Adapter = "adapter", newAdapter(f)
		d.Metadata = nil // said in full by Adapter
	case adapterfile.BaseWeights:
		m, err := bases.Describe(path, checkpoint.Options{Heads: o.Heads, Prepare: o.Prepare})
		if err != nil {
			return err
		}
		d.Kind = "base"
		d.Base = &Base{
			Family: m.Family, Naming: m.Source, Width: m.Width, Depth: m.Depth, Heads: m.Heads, MLP: m.MLP,
			SwiGLU: m.SwiGLU, Image: m.Image, Patch: m.Patch, Tokens: m.Tokens(), Features: m.Features(),
			Classes: m.Classes, Recipe: m.Recipe, RecipeNote: m.RecipeNote, Labels: m.Labels,
		}
	case adapterfile.LoRAViT:
		f, err := adapterfile.ReadLoRAViT(path, adapterfile.LoRAViTOptions{Import: adapterfile.Import{Look: true}})
		if err != nil {
			return err
		}
		d.Kind, d.Adapter = "loravit", newAdapter(f)
	case adapterfile.PEFT:
		f, err := adapterfile.ReadPEFT(path, adapterfile.Import{Look: true})
		if err != nil {
			return err
		}
		d.Kind, d.Adapter = "peft", newAdapter(f)
	}
	return nil
}

// embedded adds what is known of the base that is part of the program.
func (d *Document) embedded() (err error) {
	if d.Digest, err = bases.Digest(nil, bases.Embedded); err == nil {
		d.Licence, err = bases.Licence()
	}
	return err
}

func newAdapter(f *adapterfile.File) *Adapter {
	a := &Adapter{Digest: f.Digest, Metadata: f.Meta, Sites: f.Adapter.Deltas}
	a.Deltas, a.Head = f.Adapter.Parameters()
	return a
}

// openTensors opens a file, a folder with one, or a sharded model.
func openTensors(path string) (*safetensors.File, error) {
	if path == bases.Embedded {
		return bases.Tensors()
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if filepath.Base(path) == "adapter_config.json" {
		return openTensors(filepath.Dir(path))
	}
	if info.IsDir() {
		if adapter := filepath.Join(path, "adapter_model.safetensors"); exists(adapter) {
			return safetensors.Open(adapter)
		}
	}
	return checkpoint.Tensors(path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// tensors sums up the tensors of a file, and returns their names.
func tensors(path string, list bool) (*Document, []string, error) {
	f, err := openTensors(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	doc := &Document{Path: f.Path(), Kind: "tensors", DTypes: map[string]int{}, Metadata: f.Metadata()}
	names := f.Names()
	for _, name := range names {
		t, _ := f.Tensor(name)
		doc.Tensors++
		doc.Parameters += int64(t.Len())
		doc.Bytes += int64(len(t.Data))
		doc.DTypes[string(t.DType)]++
		if list {
			doc.List = append(doc.List, Tensor{name, string(t.DType), t.Shape})
		}
	}
	if path == bases.Embedded {
		return doc, names, nil
	}
	if info, err := os.Stat(f.Path()); err == nil && info.Mode().IsRegular() && filepath.Ext(f.Path()) != ".json" {
		doc.Bytes = info.Size()
	}
	return doc, names, nil
}

// FileDigest returns "sha256:..." of a file.
func FileDigest(ctx context.Context, path string) (string, error) {
	f, err := regular.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, f}); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// contextReader stops reading when its context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
