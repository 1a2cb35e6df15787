package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	facade "melo.example/melo"
	"melo.example/melo/experiment"
	"melo.example/melo/features"
	"melo.example/melo/imaging"
)

// featuresOptions are the options of "melo features".
type featuresOptions struct {
	Base    string `required:"" placeholder:"BASE" help:"Base: a folder, a file, hf:owner/name or embedded."`
	Out     string `required:"" placeholder:"FILE" help:"File to write: .npz, .safetensors or .parquet."`
	Data    string `placeholder:"DATA" help:"Data set in place of images, read as by \"melo train\": FILE also gets labels and splits."`
	Patches bool   `help:"Write the features of all patches, row by row, instead of one pooled vector per image."`
	Restart bool   `help:"Start over, ignoring the results of an interrupted run."`

	Precision string `default:"f32" enum:"auto,f32,bf16,int8" help:"Precision of the base's matrix products: ${enum}."`
	Batch     int    `default:"8" help:"Images per forward pass."`
	Workers   int    `placeholder:"N" help:"Workers (default: all cores). The result does not depend on it."`
	ImageSize int    `aliases:"size" placeholder:"N" help:"Side of the input in pixels; position embeddings are resized for it. Default: the base's own."`
	Heads     int    `placeholder:"N" group:"Settings missing from the base:" help:"Number of attention heads."`
	prepareOptions
	dataSource
	Images []string `arg:"" optional:"" name:"image" help:"Image files."`
}

// Help returns the long help text.
func (featuresOptions) Help() string {
	return `Writes the features that a base computes for images: one pooled vector per image, the input of a classification
head, or all patches. FILE contains the array "features" [images, ...] of float32 and the names of the images; a
.parquet file is a table with a row per image and a column "features" of lists. With --data it also contains the split
of each image, as "melo train" with the same options would make it, and its label; for data with several labels per
image "label:NAME" of 0 and 1 for each.

Finished work is kept next to FILE, so that the same command continues after an interruption. An image that cannot be
read is reported and skipped, and the exit status is 3.

Examples:

    melo features --base vit_b/ --out features.npz scans/*.png
    melo features --base uni/ --out features.safetensors tiles/*.png
    melo features --base uni/ --data crc/ --out crc.parquet
    melo features --patches --base embedded --out patches.npz scan.png` + exitHelp
}

// featuresDocument is the --json document of "melo features".
type featuresDocument struct {
	Out    string   `json:"out"`
	Base   string   `json:"base"`
	Digest string   `json:"digest"`
	Images int      `json:"images"` // with features
	Shape  []int    `json:"shape"`  // of the features of one image
	Failed []failed `json:"failed"`
}

// failed is an image without features.
type failed struct {
	Image string `json:"image"`
	Error string `json:"error"`
}

// Validate rejects invalid option values.
func (o *featuresOptions) Validate() error {
	if o.Batch < 1 || o.Batch > 4096 {
		return fmt.Errorf("--batch %d, expected 1 to 4096", o.Batch)
	}
	if (o.Data == "") == (len(o.Images) == 0) {
		return errors.New("features: expected images, or --data")
	}
	return asFlag(o.source().Check())
}

// Run computes features.
func (o *featuresOptions) Run(ctx context.Context, s *stdio) error {
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return err
	}
	prepare, err := o.override(0)
	if err != nil {
		return err
	}
	prepare.Depth, prepare.Window = o.Depth, o.Window
	precision, err := parsePrecision(o.Precision, facade.Fastest())
	if err != nil {
		return err
	}
	b, err := facade.Open(o.Base, facade.Workers(o.Workers), facade.Batch(o.Batch), facade.Remember(cacheDir()), facade.ImageSize(o.ImageSize),
		facade.InPrecision(precision, func(reason string) { s.notef("%s", reason) }), facade.Prepare(prepare, o.Heads))
	if err != nil {
		return badInput(hintPrepare(err))
	}
	defer b.Close()
	if err := tellPrepare(s, b.Model()); err != nil {
		return err
	}
	doc := &featuresDocument{Out: o.Out, Base: o.Base, Shape: b.FeatureShape(o.Patches), Failed: []failed{}}
	if doc.Digest, err = b.Digest(); err != nil {
		return badInput(err)
	}
	look, err := o.look(ctx, s)
	if err != nil {
		return err
	}
	defer look.Close()
	if err := o.run(ctx, s, b, look, doc); err != nil {
		return err
	}
	s.printf("%s: features of %d images, %v each", o.Out, doc.Images, doc.Shape)
	if err := s.document(doc); err != nil {
		return err
	}
	if n := len(doc.Failed); n > 0 {
		return badInput(fmt.Errorf("%d of %d images could not be read", n, len(look.Names)))
	}
	return nil
}

// look finds the images.
func (o *featuresOptions) look(ctx context.Context, s *stdio) (*experiment.FeatureImages, error) {
	if o.Data == "" {
		return experiment.FeaturesOfFiles(o.Images), nil
	}
	w := s.watch(true)
	defer w.close()
	return experiment.FeaturesOfData(ctx, o.Data, o.source(), w.Event)
}

// run computes what is not there yet and writes the file.
func (o *featuresOptions) run(ctx context.Context, s *stdio, b *facade.Base, look *experiment.FeatureImages, doc *featuresDocument) error {
	of, err := look.Identity()
	if err != nil {
		return badInput(err)
	}
	identity, err := json.Marshal([]any{doc.Digest, b.Model().Recipe, b.Model().Precision.String(), doc.Shape, o.Patches, of})
	if err != nil {
		return err
	}
	if o.Restart {
		if err := features.Discard(o.Out); err != nil {
			return err
		}
	}
	store, err := features.Open(o.Out, string(identity), look.Names, doc.Shape)
	if errors.Is(err, features.ErrOther) {
		return usage(fmt.Errorf("%w; --restart drops them", err))
	}
	if err != nil {
		return usage(err)
	}
	done := store.Done()
	if done > 0 {
		s.notef("%d of %d images are done", done, len(look.Names))
	}
	image := func(ctx context.Context, i int, o imaging.Options) (*imaging.Image, error) {
		return look.Image(ctx, done+i, o)
	}
	err = b.FeaturesEach(ctx, len(look.Names)-done, image, o.Patches, func(i int, row []float32, err error) error {
		if err != nil {
			doc.Failed = append(doc.Failed, failed{look.Names[done+i], oneLine(err)})
			s.notef("%s", oneLine(err))
		}
		return store.Add(row)
	})
	if err != nil {
		return err
	}
	recipe, err := json.Marshal(b.Model().Recipe)
	if err != nil {
		return err
	}
	doc.Images, err = store.Finish(map[string]string{"base": doc.Digest, "recipe": string(recipe)}, look.Columns...)
	return err
}
