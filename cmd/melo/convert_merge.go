package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	facade "melo.example/melo"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/checkpoint"
)

// merge writes the base with the adapter in its weights, as a folder of Hugging Face or timm.
func (o *convertOptions) merge(ctx context.Context, s *stdio, from string) error {
	if o.To != "" && o.To != "hf" && o.To != "timm" {
		return usage(fmt.Errorf("convert: --merge writes a base: expected --to hf or --to timm, not %s", o.To))
	}
	if o.Base == "" && from != "native" {
		return usage(fmt.Errorf("convert: --merge needs --base"))
	}
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return err
	}
	prepare, err := o.override(o.Size)
	if err != nil {
		return err
	}
	base, adapter, err := facade.OpenFor(o.In, o.Base, facade.Remember(cacheDir()), facade.Prepare(prepare, o.Heads))
	if err != nil {
		return badInput(hintPrepare(err))
	}
	defer base.Close()
	m, err := base.Merged(adapter)
	if err != nil {
		return badInput(err)
	}
	d := &checkpoint.Description{Config: m.Config, Recipe: m.Recipe, Labels: m.Labels}
	dtype := convertTypes[o.DType]
	if dtype == "" {
		dtype = safetensors.F32
	}
	x, err := checkpoint.HFFolder(d, m.Parameter, dtype)
	if o.To == "timm" || o.To == "" && (m.Source == "timm" || err != nil) {
		x, err = checkpoint.TimmFolder(d, m.Parameter, dtype)
	}
	if err != nil {
		return badInput(fmt.Errorf("%s: %w", o.In, err))
	}
	files := map[string]func(io.Writer) error{
		"model.safetensors": func(w io.Writer) error {
			return safetensors.Write(contextWriter{ctx, w}, x.Tensors, map[string]string{"format": "pt"})
		},
	}
	for name, text := range x.Files {
		files[name] = func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		}
	}
	if err := atomicfile.WriteFolder(o.Out, 0o666, files); err != nil {
		return err
	}
	doc := convertDocument{In: convertedFile{Path: o.In, Format: from, Digest: adapter.Digest(), Bytes: bytesAt(o.In)},
		Out: convertedFile{Path: o.Out, Format: x.Source, Bytes: bytesAt(o.Out)}, Labels: adapter.Labels(), Lost: lostByMerging(adapter.Metadata()), Notes: append([]string{}, x.Notes...)}
	if doc.Out.Digest, err = adapterfile.BaseDigest(o.Out); err != nil {
		return err
	}
	doc.print(s)
	return s.document(doc)
}

// lostByMerging names what an adapter has and a base has no place for.
func lostByMerging(m adapterfile.Metadata) []string {
	lost := []string{}
	for what, there := range map[string]bool{"thresholds": len(m.Thresholds) > 0, "temperatures": len(m.Temperatures) > 0, "metrics": len(m.Metrics) > 0} {
		if there {
			lost = append(lost, what)
		}
	}
	if m.Task == adapterfile.Multilabel || m.Task == adapterfile.Binary {
		lost = append(lost, "that its task is "+strings.ToLower(string(m.Task)))
	}
	return lost
}
