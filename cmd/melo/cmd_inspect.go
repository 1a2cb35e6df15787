package main

import (
	"context"
	"errors"

	"melo.example/melo/bases"
	"melo.example/melo/inspect"
	"melo.example/melo/report/lines"
)

// inspectOptions are the options of "melo inspect".
type inspectOptions struct {
	Path    string `arg:"" help:"A base or an adapter: a .safetensors file, a folder, or embedded (the base that is part of melo)."`
	Tensors bool   `help:"List every tensor."`
	Digest  bool   `help:"Compute the SHA-256 digest of the file, which reads all of it."`
	Trust   string `placeholder:"FILE" help:"File of trusted public keys (see melo sign): check the adapter's signatures."`

	prepareOptions
	Heads int `placeholder:"N" group:"Settings missing from the base:" help:"Number of attention heads."`
	Size  int `placeholder:"N" group:"Settings missing from the base:" help:"Side of the input in pixels."`
}

// Help returns the long help text.
func (inspectOptions) Help() string {
	return `Describes a base or an adapter: its shape, requirements and results. Bases and adapters are read and checked
completely. Of other tensor files only the header is read; the command names the published model that they resemble,
and the differences.

Examples:

    melo inspect busi.safetensors
    melo inspect busi.safetensors --trust trusted
    melo inspect --tensors vit_tiny/
    melo inspect embedded
    melo inspect hf:google/vit-base-patch16-224
    melo --json inspect busi.safetensors` + exitHelp
}

// Run inspects one file or folder.
func (o *inspectOptions) Run(ctx context.Context, s *stdio) error {
	err := fetchBase(ctx, s, o.Path)
	if err != nil {
		return err
	}
	if o.Path, err = bases.Path(o.Path); err != nil {
		return err
	}
	prepare, err := o.override(o.Size)
	if err != nil {
		return err
	}
	doc, err := inspect.Open(o.Path, inspect.Options{Tensors: o.Tensors, Heads: o.Heads, Prepare: prepare})
	if err != nil && doc != nil { // a published model that the file resembles
		lines.Inspected(s.lines(), doc, prepareHint)
		return errors.Join(s.document(doc), badInput(hintPrepare(err)))
	}
	if err != nil {
		return badInput(hintPrepare(err))
	}
	if err := doc.Verify(o.Path, o.Trust); err != nil {
		return badInput(err)
	}
	if o.Digest && o.Path != bases.Embedded {
		if doc.Digest, err = inspect.FileDigest(ctx, doc.Path); err != nil {
			return badInput(err)
		}
	}
	lines.Inspected(s.lines(), doc, prepareHint)
	if doc.Kind == "loravit" {
		s.notef("%s: such a file does not tell alpha, the blocks and the head's bias: taken as the rank, all from 0, and zero unless melo noted them", doc.Path)
	}
	return s.document(doc)
}
