package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"melo.example/melo/bases"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
	"melo.example/melo/vit/checkpoint"
)

// WriteBase writes a base under the names of another library, or with other numbers.
func WriteBase(ctx context.Context, o Options) (*Document, error) {
	doc := newDocument(o.In, o.Out)
	var failure error // of writing, which is no fault of the input
	export := checkpoint.ExportOptions{Source: o.To, DType: o.DType, Heads: o.Heads, Prepare: o.Prepare}
	err := checkpoint.Export(o.In, export, func(x *checkpoint.Exported) error {
		doc.In.Format, doc.Out.Format, doc.Notes = x.From, x.Source, append(doc.Notes, x.Notes...)
		failure = x.WriteFolder(ctx, o.Out, nil)
		return failure
	})
	if err != nil && failure == nil {
		return nil, inputError(err)
	}
	if err != nil {
		return nil, err
	}
	if doc.In.Digest, err = adapterfile.BaseDigest(o.In); err != nil {
		return nil, inputError(err)
	}
	return doc, doc.written()
}

// Adapted is a base with an adapter in its weights.
type Adapted struct {
	Model  *vit.Model // what melo.Base.Merged makes of base and adapter
	Base   string     // digest of the base
	Digest string     // of the adapter
	Labels []string
	Meta   adapterfile.Metadata // of the adapter
}

// Merged writes a base with an adapter, whose file is at In, in its weights, as a folder of Hugging Face or timm.
func Merged(ctx context.Context, o Options, from string, a *Adapted) (*Document, error) {
	m := a.Model
	d := &checkpoint.Description{Config: m.Config, Recipe: m.Recipe, Labels: m.Labels, Problem: m.Problem}
	if o.DType == "" {
		o.DType = safetensors.F32
	}
	x, base, err := mergedFolder(o, m, d)
	if err != nil {
		return nil, inputError(fmt.Errorf("%s: %w", o.In, err))
	}
	write := func() error { return x.WriteFolder(ctx, o.Out, nil) }
	if base != nil {
		defer base.Close()
		err = base.Guard(m.Path, write)
	} else {
		err = write()
	}
	if err != nil {
		return nil, err
	}
	doc := newDocument(o.In, o.Out)
	doc.In.Format, doc.In.Digest = from, a.Digest
	doc.Out.Format, doc.Labels, doc.Notes = x.Source, a.Labels, append(doc.Notes, x.Notes...)
	doc.loseByMerging(&a.Meta, x.Source)
	return doc, doc.written()
}

// mergedFolder makes the folder in words that express it: those of the base's own library if they are as good as others, and
// with the base's own files, which are then still open, if there are no others.
func mergedFolder(o Options, m *vit.Model, d *checkpoint.Description) (x *checkpoint.Exported, base *checkpoint.Checkpoint, err error) {
	to := cmp.Or(o.To, m.Source)
	if to == "timm" {
		x, err = checkpoint.TimmFolder(d, m.Parameter, o.DType)
	} else {
		x, err = checkpoint.HFFolder(d, m.Parameter, o.DType)
	}
	if err == nil || to != m.Source {
		return x, nil, err
	}
	if base, err = bases.Checkpoint(m.Path, checkpoint.Options{Heads: o.Heads, Prepare: o.Prepare}); err != nil {
		return nil, nil, err
	}
	err = base.Guard(m.Path, func() (err error) {
		x, err = checkpoint.Rewrite(base, d, m.Parameter, o.DType)
		return err
	})
	if err == nil {
		return x, base, nil
	}
	if o.To == "" && m.Source == "hf" {
		if x, e := checkpoint.TimmFolder(d, m.Parameter, o.DType); e == nil {
			return x, nil, base.Close()
		}
	}
	return nil, nil, errors.Join(err, base.Close())
}

// loseByMerging names what an adapter has and a base of that library has no place for.
func (d *Document) loseByMerging(m *adapterfile.Metadata, names string) {
	d.lose(len(m.Thresholds) > 0, "thresholds")
	d.lose(len(m.Temperatures) > 0, "temperatures")
	d.lose(len(m.Metrics) > 0, "metrics")
	d.lose(m.Task == adapterfile.Multilabel && names == "timm" || m.Task == adapterfile.Binary && len(m.Labels) > 1, "that its task is "+strings.ToLower(string(m.Task)))
}

// written records what was written.
func (d *Document) written() (err error) {
	d.In.Bytes, d.Out.Bytes = bytesAt(d.In.Path), bytesAt(d.Out.Path)
	d.Out.Digest, err = adapterfile.BaseDigest(d.Out.Path)
	return err
}
