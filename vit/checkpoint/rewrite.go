package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
)

// Rewrite returns the content of a folder with the base c as its library has it, names and configuration, with the weights
// and the head of m, a network of the same shape. It is for networks that the words of Folder and TimmFolder do not express.
// Tensors are written as dtype (F32, F16 or BF16).
func Rewrite(c *Checkpoint, m *Description, read func(name string) []float32, dtype safetensors.DType) (*Exported, error) {
	r := rewriter{c: c, m: m, read: read, pieces: map[string][]piece{}}
	if err := r.possible(); err != nil {
		return nil, fmt.Errorf("vit: write: %w", err)
	}
	x := &Exported{From: m.Source, Source: m.Source, Files: map[string][]byte{}, Notes: slices.Clone(c.Notes)}
	if err := r.config(x, dtype); err != nil {
		return nil, fmt.Errorf("vit: write: %s: %w", configName, err)
	}
	if err := x.describeImages(c.src, m, m.Recipe != c.Recipe); err != nil {
		return nil, err
	}
	for _, p := range c.Params() {
		if err := r.locate(p); err != nil {
			return nil, fmt.Errorf("vit: write: %w", err)
		}
	}
	for _, name := range c.file.Names() {
		canon, _ := c.names.canonical(name)
		if module, _, _ := strings.Cut(canon, "."); module == "head" || module == "head_dist" {
			continue
		}
		t, _ := c.file.Tensor(name)
		x.Tensors = append(x.Tensors, retype(r.tensor(t), dtype))
	}
	head := map[string]string{"hf": "classifier", "timm": "head"}[m.Source]
	x.Tensors = append(x.Tensors,
		made(head+".weight", dtype, []int{m.Classes, m.Features()}, func() []float32 { return read("head.weight") }),
		made(head+".bias", dtype, []int{m.Classes}, func() []float32 { return read("head.bias") }))
	return x, nil
}

// rewriter replaces the values of a file's tensors.
type rewriter struct {
	c      *Checkpoint
	m      *Description
	read   func(name string) []float32
	pieces map[string][]piece // by the name of a tensor
	class  string             // of transformers
}

// piece is n values of a parameter, from at on, that lie in a tensor from to on.
type piece struct {
	param     string
	at, n, to int
}

// headed are the classes of transformers that give these types of models a head on the features that they have here.
var headed = map[string]string{"siglip": "SiglipForImageClassification", "clip": "CLIPForImageClassification", "beit": "BeitForImageClassification",
	"data2vec-vision": "Data2VecVisionForImageClassification", "ijepa": "IJepaForImageClassification", "vit_msn": "ViTMSNForImageClassification"}

// possible returns an error that says why the base cannot carry the weights and the head.
func (r *rewriter) possible() error {
	c, m := &r.c.Config, &r.m.Config
	switch {
	case r.c.src.files.Config == nil || r.c.translated:
		return fmt.Errorf("a %s base without a configuration of transformers or timm: melo convert %s makes one that has it", m.Family, r.c.Path)
	case m.Classes == 0:
		return errors.New("there is no head")
	case m.Pooling != c.Pooling || m.Features() != c.Features():
		return fmt.Errorf("the head is for other features (%v) than those that the base's configuration says (%v)", m.Pooling, c.Pooling)
	}
	if m.Source != "hf" {
		return nil
	}
	var doc struct {
		Type string `json:"model_type"`
	}
	if err := json.Unmarshal(r.c.src.files.Config, &doc); err != nil {
		return jsonError(err)
	}
	r.class = headed[doc.Type]
	switch {
	case (m.Family == "siglip" || m.Family == "clip") && m.Pooling != arch.PoolMean:
		return fmt.Errorf("the class of transformers with a head for a %s base classifies by the mean of the patches, this head does not", m.Family)
	case r.class == "":
		return fmt.Errorf("transformers has no class with a head for a base of type %.60q", doc.Type)
	}
	return nil
}

// locate finds the tensors that a parameter lies in.
func (r *rewriter) locate(p arch.Param) error {
	if module, _, _ := strings.Cut(p.Name, "."); module == "head" || module == "head_dist" {
		return nil
	}
	v := r.c.value(p.Name)
	if v.edit != nil { // it is made of what is stored, as resized positions are
		before, err := r.c.Read(p.Name, nil)
		if err != nil {
			return err
		}
		if !slices.Equal(before, r.read(p.Name)) {
			return fmt.Errorf("%s is not stored as it is used, and was changed", p.Name)
		}
		return nil
	}
	at := 0
	for _, part := range v.parts {
		n := part.to - part.from
		r.pieces[part.t.Name] = append(r.pieces[part.t.Name], piece{p.Name, at, n, part.from})
		at += n
	}
	return nil
}

// tensor returns a tensor with the new values where it has any.
func (r *rewriter) tensor(t safetensors.Tensor) safetensors.TensorData {
	list := r.pieces[t.Name]
	if len(list) == 0 {
		return data(t.Name, t)
	}
	return safetensors.TensorData{Name: t.Name, DType: safetensors.F32, Shape: t.Shape, Fill: func(use func([]byte) error) error {
		values, err := t.Float32s(nil)
		if err != nil {
			return err
		}
		for _, p := range list {
			copy(values[p.to:p.to+p.n], r.read(p.param)[p.at:p.at+p.n])
		}
		made, err := safetensors.FromFloat32s(t.Name, safetensors.F32, t.Shape, values)
		if err != nil {
			return err
		}
		return use(made.Data)
	}}
}

// config writes the base's configuration with the head in it.
func (r *rewriter) config(x *Exported, dtype safetensors.DType) error {
	var doc fields
	in := json.NewDecoder(bytes.NewReader(withDType(r.c.src.files.Config, dtype)))
	in.UseNumber() // transformers tells 1.0 from 1
	if err := in.Decode(&doc); err != nil {
		return jsonError(err)
	}
	m := r.m
	if m.Source == "hf" {
		for _, key := range []string{"num_labels", "problem_type"} {
			delete(doc, key)
		}
		doc["architectures"] = []string{r.class}
		for key, value := range hfLabels(m) {
			doc[key] = value
		}
		return x.add(configName, doc)
	}
	doc["num_classes"] = m.Classes
	delete(doc, "label_names")
	delete(doc, "label_descriptions")
	if m.Labels != nil {
		doc["label_names"] = m.Labels
	}
	for _, key := range []string{"pretrained_cfg", "model_args"} {
		inner, ok := doc[key].(fields)
		if !ok {
			continue
		}
		if _, said := inner["num_classes"]; said || key == "pretrained_cfg" {
			inner["num_classes"] = m.Classes
		}
		for _, name := range []string{"label_names", "label_descriptions"} {
			delete(inner, name)
		}
	}
	return x.add(configName, doc)
}
