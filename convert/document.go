package convert

import (
	"os"
	"strings"

	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit/checkpoint"
)

// Document is what was converted, and the --json document of "melo convert".
type Document struct {
	In     File     `json:"in"`
	Out    File     `json:"out"`
	Sites  string   `json:"sites,omitempty"`
	Deltas int      `json:"delta_parameters"`
	Head   int      `json:"head_parameters"`
	Labels []string `json:"labels,omitempty"`
	Alpha  *int     `json:"alpha,omitempty"` // to give to LoRA-ViT
	Lost   []string `json:"lost"`
	Notes  []string `json:"notes"`
}

// File is one end of a conversion.
type File struct {
	Path   string `json:"path"`
	Format string `json:"format"` // native, loravit or peft; of bases hf or timm; onnx
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest,omitempty"` // of a native file, or of a base's weights
}

func newDocument(in, out string) *Document {
	return &Document{In: File{Path: in}, Out: File{Path: out}, Lost: []string{}, Notes: []string{}}
}

// describe says what the adapter is, and what OUT has no place for. based tells whether --base was given.
func (d *Document) describe(o *Options, f *adapterfile.File, based bool) {
	m := &f.Meta
	d.Deltas, d.Head = f.Adapter.Parameters()
	if len(f.Adapter.Deltas) > 0 {
		d.Sites = lora.Describe(f.Adapter.Deltas)
	}
	for _, l := range m.Labels {
		d.Labels = append(d.Labels, l.Name)
	}
	if o.DropHead {
		d.lose(f.Adapter.Head != nil, "head")
		d.Head, d.Labels = 0, nil
	}
	if o.To != "native" {
		own := d.In.Format == "native"
		d.lose(own && len(m.Labels) > 0 && !o.DropHead, "labels")
		d.lose(o.To == "loravit" && f.Adapter.Head != nil && !o.DropHead && !allZero(f.Adapter.Head.Bias), "bias of the head")
		d.lose(len(m.Thresholds) > 0, "thresholds")
		d.lose(len(m.Temperatures) > 0, "temperatures")
		d.lose(own && m.Recipe.Size != 0, "recipe")
		d.lose(m.Base.Digest != "" && own, "digest of the base")
		d.lose(len(m.Metrics) > 0, "metrics")
		d.lose(m.SelfTest != nil, "selftest")
		d.lose(own && m.Training != nil, "training")
		d.lose(m.Licence != "", "licence")
		d.lose(m.IntendedUse != "", "intended use")
		return
	}
	if !based && d.In.Format != "native" {
		d.Notes = append(d.Notes, "the base is not recorded, predicting needs --base: give --base here to record and check it")
	}
	if len(o.Labels) == 0 && len(m.Labels) > 0 && d.In.Format != "native" {
		d.Notes = append(d.Notes, "the classes are numbered: give --labels to name them")
	}
	if d.In.Format == "loravit" && f.Adapter.Head != nil && allZero(f.Adapter.Head.Bias) {
		d.Notes = append(d.Notes, "LoRA-ViT does not store the head's bias: it is zero, which may shift the logits of training")
	}
}

// lose notes what the output has no place for, if it is there.
func (d *Document) lose(there bool, what string) {
	if there {
		d.Lost = append(d.Lost, what)
	}
}

func allZero(values []float32) bool {
	for _, v := range values {
		if v != 0 {
			return false
		}
	}
	return true
}

// bytesAt returns the size of a file, or of the files of an adapter's or a base's folder; 0 if there is none.
func bytesAt(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if !info.IsDir() {
		return info.Size()
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return 0
	}
	var total int64
	for _, e := range entries {
		part := checkpoint.WeightsName(e.Name()) || strings.HasPrefix(e.Name(), "adapter_") || strings.HasPrefix(e.Name(), "model") || strings.HasSuffix(e.Name(), "config.json")
		if info, err := e.Info(); err == nil && part && info.Mode().IsRegular() {
			total += info.Size()
		}
	}
	return total
}
