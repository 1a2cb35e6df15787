package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"melo.example/melo/demo"
	"melo.example/melo/experiment"
	"melo.example/melo/report/lines"
)

// demoOptions are the options of "melo demo".
type demoOptions struct {
	Fast  bool     `help:"Use fewer images and epochs: about 20 seconds on two cores."`
	Out   string   `default:"melo-demo" help:"Folder for data, adapters and the report." placeholder:"DIR"`
	Tasks []string `default:"chest,tb,breast,blood" enum:"chest,tb,breast,blood" placeholder:"TASK" help:"Tasks: chest, tb, breast, blood. Default: all."`

	Write    string `group:"Data only:" help:"Only write the synthetic data sets into this folder, in formats that melo reads." placeholder:"DIR"`
	Pictures int    `default:"0" group:"Data only:" help:"With --write: images of each task. Default: as many as the demo uses." placeholder:"N"`

	Masks bool `group:"Data only:" help:"With --write: also write masks of the findings, one for each image, and one for each finding of chest films, below DIR/masks."`

	Base    string `default:"embedded" help:"Base: embedded (part of melo), a folder, a file or hf:owner/name. Larger ones take longer."`
	Seed    uint64 `default:"1" help:"Random seed of the images."`
	Restart bool   `help:"Start over even if the folder contains a demo."`
	Workers int    `placeholder:"N" help:"Workers (default: all cores). The result does not depend on it."`

	size *demo.Size // set by tests; nil: follows Fast
}

// Help returns the long help text.
func (demoOptions) Help() string {
	return `Demonstrates melo without data, network or waiting. It generates four synthetic tasks, modelled on those of the
MeLo paper. For each it trains a low-rank adapter, a linear probe and a fully fine-tuned model on one base, and
compares them on held-out images. Then it serves all adapters from one base in memory and switches between them. It
takes a minute and a half on two idle cores, and ends with suggestions for next steps.

All images are synthetic. The results compare methods on such images and say nothing about patients.

Ctrl-C keeps finished work: the same command continues.

Examples:

    melo demo
    melo demo --fast --out first-look
    melo demo --tasks blood --base vit_tiny/     # one task, on a real base
    melo demo --write pictures --pictures 200    # the data sets alone

Research software, not a medical device.` + exitHelp
}

// maxDemoPictures is the upper limit of --pictures.
const maxDemoPictures = 100_000

// Validate rejects invalid option values.
func (o *demoOptions) Validate() error {
	switch {
	case o.Masks && o.Write == "":
		return errors.New("--masks goes with --write")
	case o.Pictures != 0 && o.Write == "":
		return fmt.Errorf("--pictures %d: goes with --write", o.Pictures)
	case o.Pictures != 0 && (o.Pictures < 40 || o.Pictures > maxDemoPictures):
		return fmt.Errorf("--pictures %d, expected 40 to %d", o.Pictures, maxDemoPictures)
	}
	for i, name := range o.Tasks {
		if slices.Contains(o.Tasks[:i], name) {
			return fmt.Errorf("--tasks names %s twice", name)
		}
	}
	return nil
}

// demo returns the options of the demo.
func (o *demoOptions) demo(s *stdio, w *watcher) *demo.Options {
	d := &demo.Options{Out: cmp.Or(o.Write, o.Out), Tasks: o.Tasks, Base: o.Base, Seed: o.Seed, Size: demo.Full, Restart: o.Restart, Masks: o.Masks,
		Workers: o.Workers, Cache: cacheDir(), Command: s.argsWithout("--restart"), Hook: w.Event}
	if o.Fast {
		d.Size = demo.Fast
	}
	if o.size != nil {
		d.Size = *o.size
	}
	return d
}

// Run runs the demo, or writes its data.
func (o *demoOptions) Run(ctx context.Context, s *stdio) error {
	w := s.watch(true)
	defer w.close()
	if o.Write != "" {
		doc, err := demo.Write(ctx, o.demo(s, w), o.Pictures)
		if err != nil {
			return err
		}
		w.close()
		lines.DemoData(s.lines(), doc)
		s.notef("the pictures are synthetic")
		return s.document(doc)
	}
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return err
	}
	doc, err := demo.Run(ctx, o.demo(s, w))
	if setting := (*experiment.SettingError)(nil); errors.As(err, &setting) {
		return err
	}
	if err != nil {
		s.hints = append(s.hints, "what is done is kept in "+o.Out+"; to go on:", "    "+s.sameCommand("--restart"))
		return err
	}
	w.close()
	lines.Demo(s.lines(), doc)
	if !s.json {
		s.notef("the pictures are synthetic; %s", notice)
	}
	return s.document(doc)
}
