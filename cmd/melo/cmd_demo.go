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
	Fast  bool     `help:"A first look: fewer pictures and epochs, so that it takes some 20 seconds on two cores."`
	Out   string   `default:"melo-demo" help:"Folder for data, adapters and the report." placeholder:"DIR"`
	Tasks []string `default:"chest,tb,breast,blood" enum:"chest,tb,breast,blood" placeholder:"TASK" help:"Tasks: chest, tb, breast, blood. Default: all."`

	Write    string `group:"Data alone:" help:"Write the tasks' data sets into this folder, in the forms that melo reads, and stop." placeholder:"DIR"`
	Pictures int    `default:"0" group:"Data alone:" help:"With --write: pictures of each task. Default: as many as the demo has." placeholder:"N"`

	Base    string `default:"embedded" help:"Base: embedded, a folder, a file or hf:owner/name. Larger ones take longer."`
	Seed    uint64 `default:"1" help:"Seed of the pictures."`
	Restart bool   `help:"Start over although the folder has a demo."`
	Workers int    `placeholder:"N" help:"Workers (default: all cores). The result does not depend on it."`

	size *demo.Size // of tests; nil: what Fast says
}

// Help is the long help text.
func (demoOptions) Help() string {
	return `Shows the whole story without any data, network or waiting: four tasks that stand for the four of the MeLo paper,
drawn by formula. For each it trains a low-rank adapter, a linear probe and a fully tuned model on one frozen base and
compares them on pictures that none has seen; then it serves all adapters from one resident base and switches between
them. It takes a minute and a half on two idle cores, and says how to go on.

All pictures are synthetic. The numbers say how the methods do on such pictures, and nothing about patients.

Ctrl-C keeps what is there: the same command goes on.

Examples:

    melo demo
    melo demo --fast --out first-look
    melo demo --tasks blood --base vit_tiny/     # one task, on a real base
    melo demo --write pictures --pictures 200    # the data sets alone

Research software, not a medical device.` + exitHelp
}

// maxDemoPictures bounds --pictures.
const maxDemoPictures = 100_000

// Validate refuses option values that cannot be.
func (o *demoOptions) Validate() error {
	switch {
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

// demo are the options of the demo.
func (o *demoOptions) demo(s *stdio, w *watcher) *demo.Options {
	d := &demo.Options{Out: cmp.Or(o.Write, o.Out), Tasks: o.Tasks, Base: o.Base, Seed: o.Seed, Size: demo.Full, Restart: o.Restart,
		Workers: o.Workers, Cache: cacheDir(), Command: s.argsWithout("--restart"), Hook: w.Event}
	if o.Fast {
		d.Size = demo.Fast
	}
	if o.size != nil {
		d.Size = *o.size
	}
	return d
}

// Run shows the demo, or writes its data.
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
