package adapterfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"melo.example/melo/compute"
	"melo.example/melo/internal/regular"
	"melo.example/melo/vit"
)

// Foreign reports whether a path holds an adapter in the format of PEFT or LoRA-ViT.
func Foreign(path string) bool {
	kind, err := Sniff(path)
	return err == nil && (kind == PEFT || kind == LoRAViT)
}

// ReadFor reads an adapter to be used with the base m: a native file (ReadLimit), or one of PEFT or LoRA-ViT
// (ReadForeign). A file of more than limit bytes is an error.
func ReadFor(path string, m *compute.Model, limit int64) (*File, error) {
	o := ImportFor(m)
	o.Limit = limit
	return readFor(path, m, o)
}

// DescribeFor is ReadFor without the weights of the base that an adapter of PEFT changes (Import.Defer): m may be an outline.
func DescribeFor(path string, m *compute.Model, limit int64) (*File, error) {
	o := ImportFor(m)
	o.Limit, o.Defer = limit, true
	return readFor(path, m, o)
}

func readFor(path string, m *compute.Model, o Import) (*File, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		f, err := ReadLimit(path, o.Limit)
		var other *otherKindError // a header beyond the limits of adapters is not read again
		if !errors.As(err, &other) || other.kind != PEFT && other.kind != LoRAViT {
			return f, err
		}
	}
	return readForeign(path, m, o)
}

// ReadForeign reads an adapter of PEFT or LoRA-ViT to be used with the base m. The base supplies what these
// formats leave out: its head if the adapter has none, its label names if the number of classes agrees, and its
// preprocessing. Label names in a config.json beside the adapter take precedence. Missing information is an
// *UntoldError. Such files do not identify the weights of their base, so CheckBase compares shapes only.
func ReadForeign(path string, m *compute.Model, limit int64) (*File, error) {
	o := ImportFor(m)
	o.Limit = limit
	return readForeign(path, m, o)
}

func readForeign(path string, m *compute.Model, o Import) (*File, error) {
	kind, err := Sniff(path)
	if err != nil {
		return nil, err
	}
	var f *File
	switch kind {
	case PEFT:
		f, err = ReadPEFT(path, o)
	case LoRAViT:
		f, err = ReadLoRAViT(path, LoRAViTOptions{Import: o})
	default:
		return nil, failf(path, "is %v, expected an adapter", kind)
	}
	if untold := (*UntoldError)(nil); errors.As(err, &untold) {
		return nil, fmt.Errorf("%w; melo convert with --%s makes an adapter that tells it", err, untold.What)
	}
	if err != nil {
		return nil, err
	}
	own := o.ownHead()
	switch h := f.Adapter.Head; {
	case h == nil && own == nil:
		return nil, failf(path, "neither the adapter nor the base has a head, so it cannot answer")
	case h == nil:
		if err := f.TakeHead(own, m.Labels); err != nil {
			return nil, failed(path, err)
		}
	case f.unnamed() && len(m.Labels) == h.Classes:
		f.Meta.Labels = Labels(m.Labels...)
	}
	if m.Head != nil && m.Head.Classes == f.Adapter.Head.Classes {
		if f.Meta.Task, err = TaskOf(m); err != nil {
			return nil, failed(path, err)
		}
	}
	if m.CheckRecipe() == nil { // otherwise neither the adapter nor the base knows the preprocessing
		f.Meta.Recipe = m.Recipe
	}
	return f, nil
}

// TaskOf returns the task of a base's own head according to its configuration; Multiclass if the configuration
// does not say. It returns an error if the outputs are not classes.
func TaskOf(m *compute.Model) (Task, error) {
	switch {
	case m.Problem == "regression":
		return "", fmt.Errorf("its head was trained for numbers, not for classes (problem_type %s)", m.Problem)
	case m.Problem == "multi_label_classification":
		return Multilabel, nil
	case m.Head != nil && m.Head.Classes == 1:
		return Binary, nil
	}
	return Multiclass, nil
}

// ImportFor returns what a base contributes to an adapter that is imported for it.
func ImportFor(m *compute.Model) Import {
	o := Import{Base: &m.Config, Head: m.Head, HeadDist: m.HeadDist}
	if m.Backend != nil { // otherwise the weights are not available
		o.Model = m
	}
	return o
}

// ownHead returns the base's own head. The two heads of a distilled DeiT, whose logits are averaged, are
// combined into one on the features of both tokens.
func (o *Import) ownHead() *vit.Head {
	if o.Head == nil || o.HeadDist == nil {
		return o.Head
	}
	return average(o.Head, o.HeadDist)
}

// unnamed reports whether the classes have no names.
func (f *File) unnamed() bool {
	for i, l := range f.Meta.Labels {
		if l.Name != nameless(i) {
			return false
		}
	}
	return true
}

// nameless returns the name of class i if nothing gives one.
func nameless(i int) string { return fmt.Sprintf("class %d", i) }

// PEFTBase returns the name of the base in a PEFT folder, or "" if the folder does not give it.
func PEFTBase(path string) (string, error) {
	_, doc, err := readPEFTConfig(path)
	if err != nil {
		return "", err
	}
	return doc.baseID, nil
}

// modelConfig is the file in which transformers stores label names.
const modelConfig = "config.json"

// PEFTFiles returns the names of the files from which a PEFT folder may be read.
func PEFTFiles() []string { return []string{peftConfig, peftWeights, peftTorch, modelConfig} }

// labelsBeside reads label names from a model's config.json beside an adapter's files. It returns nil if there
// is none or if the number of labels differs from classes. Nothing else in that file applies to the adapter.
func labelsBeside(dir string, classes int) (text []byte, labels []Label) {
	text, err := regular.ReadFile(filepath.Join(dir, modelConfig), maxPEFTConfig)
	if err != nil {
		return nil, nil
	}
	var doc struct {
		Labels map[string]string `json:"id2label"`
	}
	if json.Unmarshal(text, &doc) != nil || len(doc.Labels) != classes {
		return nil, nil
	}
	labels = make([]Label, classes)
	for i := range labels {
		name, ok := doc.Labels[strconv.Itoa(i)]
		if !ok || name == "" {
			return nil, nil
		}
		labels[i].Name = name
	}
	return text, labels
}

// InFolder returns the sorted paths of the adapters in a folder: safetensors files, and PEFT folders.
func InFolder(dir string) ([]string, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, failed(dir, err)
	}
	var list []string
	for _, d := range found {
		path := filepath.Join(dir, d.Name())
		if filepath.Ext(path) == ".safetensors" && !strings.HasPrefix(d.Name(), ".") || IsPEFT(path) {
			list = append(list, path)
		}
	}
	return list, nil
}

// IsPEFT reports whether path is a folder with one of the files of a PEFT adapter.
func IsPEFT(path string) bool {
	for _, name := range []string{peftConfig, peftWeights, peftTorch} {
		if info, err := os.Stat(filepath.Join(path, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}
