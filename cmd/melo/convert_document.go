package main

import (
	"os"
	"strings"

	"melo.example/melo/internal/text"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit/checkpoint"
)

// convertDocument is the --json document of "melo convert".
type convertDocument struct {
	In     convertedFile `json:"in"`
	Out    convertedFile `json:"out"`
	Sites  string        `json:"sites,omitempty"`
	Deltas int           `json:"delta_parameters"`
	Head   int           `json:"head_parameters"`
	Labels []string      `json:"labels,omitempty"`
	Alpha  *int          `json:"alpha,omitempty"` // to give to LoRA-ViT
	Lost   []string      `json:"lost"`
	Notes  []string      `json:"notes"`
}

// convertedFile is one end of a conversion.
type convertedFile struct {
	Path   string `json:"path"`
	Format string `json:"format"` // native, loravit or peft; of bases hf or timm; onnx
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest,omitempty"` // of a native file, or of a base's weights
}

// describe says what the adapter is, and what OUT has no place for. based tells whether --base was given.
func (d *convertDocument) describe(o *convertOptions, f *adapterfile.File, based bool) {
	m := &f.Meta
	d.Deltas, d.Head = f.Adapter.Parameters()
	if len(f.Adapter.Deltas) > 0 {
		d.Sites = sitesLine(f.Adapter.Deltas)
	}
	for _, l := range m.Labels {
		d.Labels = append(d.Labels, l.Name)
	}
	lost := func(there bool, what string) {
		if there {
			d.Lost = append(d.Lost, what)
		}
	}
	if o.DropHead {
		lost(f.Adapter.Head != nil, "head")
		d.Head, d.Labels = 0, nil
	}
	if o.To != "native" {
		own := d.In.Format == "native"
		lost(own && len(m.Labels) > 0 && !o.DropHead, "labels")
		lost(o.To == "loravit" && f.Adapter.Head != nil && !o.DropHead && !allZero(f.Adapter.Head.Bias), "bias of the head")
		lost(len(m.Thresholds) > 0, "thresholds")
		lost(len(m.Temperatures) > 0, "temperatures")
		lost(own && m.Recipe.Size != 0, "recipe")
		lost(m.Base.Digest != "" && own, "digest of the base")
		lost(len(m.Metrics) > 0, "metrics")
		lost(m.SelfTest != nil, "selftest")
		lost(own && m.Training != nil, "training")
		lost(m.Licence != "", "licence")
		lost(m.IntendedUse != "", "intended use")
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

func (d *convertDocument) print(s *stdio) {
	s.printf("%s (%s, %s) -> %s (%s, %s)", d.In.Path, d.In.Format, text.Bytes(d.In.Bytes), d.Out.Path, d.Out.Format, text.Bytes(d.Out.Bytes))
	if d.Sites != "" {
		s.entry("  sites       ", "%s, %s numbers", d.Sites, text.Count(int64(d.Deltas)))
	}
	if d.Head > 0 {
		s.entry("  head        ", "%s numbers: %s", text.Count(int64(d.Head)), strings.Join(d.Labels, ", "))
	}
	if d.In.Digest != "" && d.Deltas == 0 && d.Head == 0 { // of a base: what adapters know it by
		s.printf("  sha256 in   %s", hexOf(d.In.Digest))
	}
	if d.Out.Digest != "" {
		s.printf("  sha256      %s", hexOf(d.Out.Digest))
	}
	if d.Alpha != nil {
		s.printf("  alpha       %d: LoRA-ViT must be given it", *d.Alpha)
	}
	if len(d.Lost) > 0 {
		s.notef("no place in OUT for: %s", strings.Join(d.Lost, ", "))
	}
	for _, note := range d.Notes {
		s.notef("%s", note)
	}
}
