package main

import (
	"context"
	"fmt"
	"io"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/checkpoint"
)

// convertBase writes a base under the names of another library, or with other numbers.
func (o *convertOptions) convertBase(ctx context.Context, s *stdio) error {
	prepare, err := o.override(o.Size)
	if err != nil {
		return err
	}
	if o.To == "" && o.DType == "" && prepare.Empty() && o.Heads == 0 && checkpoint.Plain(o.In) {
		return usage(fmt.Errorf("convert: %s is a base: give --to hf, --to timm, --dtype, or how images are prepared", o.In))
	}
	for option, given := range map[string]bool{
		"--to " + o.To: o.To != "" && o.To != "hf" && o.To != "timm", "--base": o.Base != "", "--head": o.Head != "auto",
		"--labels": len(o.Labels) > 0, "--task": o.Task != "", "--alpha": o.Alpha > 0, "--blocks": o.Blocks != "",
		"--names": o.Names != "", "--bare": o.Bare, "--fold-scale": o.FoldScale, "--drop-head": o.DropHead,
	} {
		if given {
			return usage(fmt.Errorf("convert: %s is for adapters, %s is a base", option, o.In))
		}
	}
	doc := convertDocument{In: convertedFile{Path: o.In}, Out: convertedFile{Path: o.Out}, Lost: []string{}, Notes: []string{}}
	var failure error // of writing, which is no fault of the input
	err = checkpoint.Export(o.In, checkpoint.ExportOptions{Source: o.To, DType: convertTypes[o.DType], Heads: o.Heads, Prepare: prepare}, func(x *checkpoint.Exported) error {
		doc.In.Format, doc.Out.Format, doc.Notes = x.From, x.Source, append(doc.Notes, x.Notes...)
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
		failure = atomicfile.WriteFolder(o.Out, 0o666, files)
		return failure
	})
	if err != nil && failure == nil {
		return badInput(hintPrepare(err))
	}
	if err != nil {
		return err
	}
	if doc.In.Digest, err = adapterfile.BaseDigest(o.In); err != nil {
		return badInput(err)
	}
	if doc.Out.Digest, err = adapterfile.BaseDigest(o.Out); err != nil {
		return err
	}
	doc.In.Bytes, doc.Out.Bytes = bytesAt(o.In), bytesAt(o.Out)
	doc.print(s)
	return s.document(doc)
}

// contextWriter stops writing when its context is done.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c contextWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}
