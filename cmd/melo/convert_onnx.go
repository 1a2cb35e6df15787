package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	facade "melo.example/melo"
	"melo.example/melo/bases"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit/checkpoint"
	"melo.example/melo/vit/onnx"
)

// toONNX writes a base, with or without an adapter in its weights, as an ONNX model.
func (o *convertOptions) toONNX(ctx context.Context, s *stdio, from string) error {
	for option, given := range map[string]bool{
		"--dtype " + o.DType: o.DType != "" && o.DType != "f32", "--head": o.Head != "auto", "--names": o.Names != "", "--bare": o.Bare,
		"--fold-scale": o.FoldScale, "--drop-head": o.DropHead, "--base": o.Base != "" && from == "base",
	} {
		if given {
			return usage(fmt.Errorf("convert: %s has no meaning for --to onnx (%s), whose numbers are f32", option, from))
		}
	}
	prepare, err := o.override(o.Size)
	if err != nil {
		return err
	}
	doc := &convertDocument{In: convertedFile{Path: o.In, Format: from, Bytes: bytesAt(o.In)}, Out: convertedFile{Path: o.Out, Format: "onnx"},
		Lost: []string{}, Notes: []string{}}
	if from == "base" {
		return o.baseToONNX(ctx, s, doc, checkpoint.Options{Image: o.Size, Heads: o.Heads, Prepare: prepare})
	}
	if err := fetchBase(ctx, s, o.Base); err != nil {
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
	digest, err := base.Digest()
	if err != nil {
		return badInput(err)
	}
	meta := adapter.Metadata()
	doc.In.Digest, doc.Labels = adapter.Digest(), adapter.Labels()
	if meta.Fit != nil {
		doc.Lost = append(doc.Lost, "whether an image is like those of the training")
	}
	x := &onnx.Model{Config: m.Config, Mirror: meta.Mirror, Exclusive: meta.Exclusive(), Temperatures: meta.Temperatures,
		Read: func(name string) ([]float32, error) { return m.Parameter(name), nil }}
	describeONNX(x, m.Recipe, m.Labels, digest)
	x.Metadata["melo.adapter"], x.Metadata["melo.task"] = adapter.Digest(), string(meta.Task)
	if len(meta.Thresholds) > 0 {
		x.Metadata["melo.thresholds"] = jsonText(meta.Thresholds)
	}
	return o.writeONNX(ctx, s, doc, x)
}

// baseToONNX writes a base alone, whose numbers are read one parameter at a time.
func (o *convertOptions) baseToONNX(ctx context.Context, s *stdio, doc *convertDocument, options checkpoint.Options) error {
	c, err := bases.Checkpoint(o.In, options)
	if err != nil {
		return badInput(hintPrepare(err))
	}
	err = c.Guard(c.Path, func() error {
		if c.RecipeNote == checkpoint.ErrNoRecipe.Error() {
			return badInput(hintPrepare(fmt.Errorf("%s: %w", o.In, checkpoint.ErrNoRecipe)))
		}
		if doc.In.Digest, err = bases.Digest(nil, o.In); err != nil {
			return badInput(err)
		}
		x := &onnx.Model{Config: c.Config, Exclusive: true, Read: func(name string) ([]float32, error) {
			defer c.Forget(name)
			v, err := c.Read(name, nil)
			return v, badInput(err)
		}}
		if c.Projected > 0 {
			x.Config.Projected = 0
			doc.Notes = append(doc.Notes, "the map to the space that images share with texts is left out")
		}
		describeONNX(x, c.Recipe, c.Labels, doc.In.Digest)
		doc.Labels, doc.Notes = c.Labels, append(doc.Notes, c.Notes...)
		return o.writeONNX(ctx, s, doc, x)
	})
	return errors.Join(err, c.Close())
}

// describeONNX says what a reader of the model should know.
func describeONNX(x *onnx.Model, r imaging.Recipe, labels []string, base string) {
	x.Producer, x.Version = "melo", buildinfo.Version
	x.Metadata = map[string]string{"melo.base": base, "melo.family": x.Config.Family, "melo.recipe": jsonText(r), "melo.notice": notice}
	if len(labels) > 0 {
		x.Metadata["melo.labels"] = jsonText(labels)
	}
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("melo: " + err.Error()) // plain structs of ours
	}
	return string(text)
}

// writeONNX writes the model, and beside it a file of its numbers if one file cannot hold them. The name of that file
// follows from what is in it, so that an older model beside it keeps its own.
func (o *convertOptions) writeONNX(ctx context.Context, s *stdio, doc *convertDocument, x *onnx.Model) error {
	size, err := x.Size()
	if err != nil {
		return badInput(fmt.Errorf("%s: %w", o.In, err))
	}
	write := func(w, data io.Writer, location string) error {
		if data != nil {
			data = contextWriter{ctx, data}
		}
		return x.Write(contextWriter{ctx, w}, data, location)
	}
	if size <= onnx.MaxSize {
		err = atomicfile.Write(o.Out, 0o666, func(w io.Writer) error { return write(w, nil, "") })
	} else {
		sum := sha256.Sum256([]byte(jsonText(x.Metadata) + jsonText(x.Config)))
		stem := strings.TrimSuffix(filepath.Base(o.Out), filepath.Ext(o.Out))
		location := stem + "-" + hex.EncodeToString(sum[:4]) + ".data"
		beside := filepath.Join(filepath.Dir(o.Out), location)
		err = atomicfile.Write(o.Out, 0o666, func(w io.Writer) error { // the numbers are in their place before the model is
			return atomicfile.Write(beside, 0o666, func(data io.Writer) error { return write(w, data, location) })
		})
		doc.Notes = append(doc.Notes, "its numbers lie in "+location+", which belongs beside it")
	}
	if err != nil {
		return err
	}
	doc.Out.Bytes = bytesAt(o.Out)
	if x.Mirror {
		doc.Notes = append(doc.Notes, "the model passes each image and its mirror image, as the adapter asks")
	}
	doc.print(s)
	return s.document(doc)
}

// onnxFrom names the format of what is converted.
func (o *convertOptions) onnxFrom(kind adapterfile.Kind) (from string, err error) {
	if kind == adapterfile.BaseWeights {
		return "base", nil
	}
	from, ok := formats[kind]
	if !ok {
		return "", badInput(fmt.Errorf("%s: is %v, expected an adapter of melo, LoRA-ViT or PEFT, or a base", o.In, kind))
	}
	if o.Base == "" && from != "native" {
		return "", usage(fmt.Errorf("convert: --to onnx needs --base for an adapter of %s", from))
	}
	return from, nil
}
