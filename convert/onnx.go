package convert

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

	"melo.example/melo/bases"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/vit/checkpoint"
	"melo.example/melo/vit/onnx"
)

// AdaptedONNX writes a base with an adapter in its weights as an ONNX model.
func AdaptedONNX(ctx context.Context, o Options, from string, a *Adapted) (*Document, error) {
	doc := newONNX(&o, from)
	m, meta := a.Model, &a.Meta
	doc.In.Digest, doc.Labels = a.Digest, a.Labels
	doc.lose(meta.Fit != nil, "whether an image is like those of the training")
	x := &onnx.Model{Config: m.Config, OneHead: true, Mirror: meta.Mirror, Exclusive: meta.Exclusive(), Temperatures: meta.Temperatures,
		Read: func(name string) ([]float32, error) { return m.Parameter(name), nil }}
	describeONNX(x, m.Recipe, m.Labels, a.Base)
	x.Metadata["melo.adapter"], x.Metadata["melo.task"] = a.Digest, string(meta.Task)
	if len(meta.Thresholds) > 0 {
		x.Metadata["melo.thresholds"] = jsonText(meta.Thresholds)
	}
	return doc, o.writeONNX(ctx, doc, x)
}

func newONNX(o *Options, from string) *Document {
	doc := newDocument(o.In, o.Out)
	doc.In.Format, doc.In.Bytes, doc.Out.Format = from, bytesAt(o.In), "onnx"
	return doc
}

// BaseONNX writes a base as an ONNX model. Its numbers are read one parameter at a time.
func BaseONNX(ctx context.Context, o Options) (*Document, error) {
	doc := newONNX(&o, "base")
	c, err := bases.Checkpoint(o.In, checkpoint.Options{Image: o.Image, Heads: o.Heads, Prepare: o.Prepare})
	if err != nil {
		return nil, inputError(err)
	}
	err = c.Guard(c.Path, func() error {
		if c.RecipeNote == checkpoint.ErrNoRecipe.Error() {
			return inputError(fmt.Errorf("%s: %w", o.In, checkpoint.ErrNoRecipe))
		}
		if doc.In.Digest, err = bases.Digest(nil, o.In); err != nil {
			return inputError(err)
		}
		x := &onnx.Model{Config: c.Config, Exclusive: true, Read: func(name string) ([]float32, error) {
			defer c.Forget(name)
			v, err := c.Read(name, nil)
			return v, inputError(err)
		}}
		if c.Projected > 0 {
			x.Config.Projected = 0
			doc.Notes = append(doc.Notes, "the map to the space that images share with texts is left out")
		}
		describeONNX(x, c.Recipe, c.Labels, doc.In.Digest)
		doc.Labels, doc.Notes = c.Labels, append(doc.Notes, c.Notes...)
		return o.writeONNX(ctx, doc, x)
	})
	if err := errors.Join(err, c.Close()); err != nil {
		return nil, err
	}
	return doc, nil
}

// describeONNX says what a reader of the model should know.
func describeONNX(x *onnx.Model, r imaging.Recipe, labels []string, base string) {
	x.Producer, x.Version = "melo", buildinfo.Version
	x.Metadata = map[string]string{"melo.base": base, "melo.family": x.Config.Family, "melo.recipe": jsonText(r), "melo.notice": buildinfo.Notice}
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
func (o *Options) writeONNX(ctx context.Context, doc *Document, x *onnx.Model) error {
	size, err := x.Size()
	if err != nil {
		return inputError(fmt.Errorf("%s: %w", o.In, err))
	}
	write := func(w, data io.Writer, location string) error {
		if data != nil {
			data = atomicfile.Interruptible(ctx, data)
		}
		return x.Write(atomicfile.Interruptible(ctx, w), data, location)
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
	return nil
}
