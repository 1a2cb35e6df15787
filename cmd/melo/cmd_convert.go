package main

import (
	"strings"

	facade "melo.example/melo"

	"context"
	"errors"
	"fmt"

	"melo.example/melo/bases"
	"melo.example/melo/convert"
	"melo.example/melo/experiment"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/report/lines"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/checkpoint"
)

// convertOptions are the options of "melo convert".
type convertOptions struct {
	In  string `arg:"" help:"Adapter to read: a file of melo or LoRA-ViT, or a PEFT folder; or a base. What it is is recognised."`
	Out string `arg:"" help:"File or, for PEFT and bases, folder to write."`

	To    string `enum:"native,loravit,peft,hf,timm,onnx," default:"" placeholder:"FORMAT" help:"Format of OUT: native, loravit or peft; of bases hf or timm; onnx writes base and adapter as one ONNX model. Default: native, if IN is of another; of bases: as IN."`
	Base  string `placeholder:"BASE" help:"Base that the adapter belongs to: IN is checked against it, and its identity, shape and preprocessing are recorded."`
	DType string `name:"dtype" enum:"f32,f16,bf16," default:"" placeholder:"TYPE" help:"Numbers in OUT: f32, f16 or bf16. Default: f32; of bases: as stored."`
	Head  string `default:"auto" enum:"auto,f32,f24,f16,bf16,i8" help:"Numbers of the head's weight in a native file (${enum}). auto: f32 beside f32, else i8."`

	Labels []string `placeholder:"NAME" group:"What other formats do not tell:" help:"Names of the classes, in the order of the head."`
	Task   string   `enum:"binary,multiclass,multilabel," default:"" placeholder:"TASK" group:"What other formats do not tell:" help:"binary, multiclass or multilabel. Default: binary for one class, else multiclass."`
	Alpha  int      `placeholder:"N" group:"What other formats do not tell:" help:"Alpha that a LoRA-ViT file was trained with; its scale is alpha/rank in whole numbers. Needed unless melo noted it in the file."`
	Blocks string   `default:"" placeholder:"BLOCKS" group:"What other formats do not tell:" help:"Blocks that a LoRA-ViT file was trained on, such as 0,2,8-11. Needed unless melo noted them in the file, or the base has as many."`

	prepareOptions
	Heads int `placeholder:"N" group:"What files of the base do not say:" help:"Number of attention heads."`
	Size  int `placeholder:"N" group:"What files of the base do not say:" help:"Side of the input in pixels."`

	Names     string `enum:"gen4,gen5,timm," default:"" placeholder:"NAMES" group:"How to write:" help:"Names of modules in a PEFT folder: gen5 (transformers 5), gen4 (transformers 4) or timm. Default: timm for bases of timm, else gen5."`
	Bare      bool   `group:"How to write:" help:"PEFT: names of a backbone by itself (ViTModel), without a classifier."`
	FoldScale bool   `group:"How to write:" help:"Multiply the scale into B, for formats that cannot express it."`
	Merge     bool   `group:"How to write:" help:"Write a base of its own, hf or timm: the weights of --base with the adapter in them, and its head."`
	DropHead  bool   `group:"How to write:" help:"Leave the head out."`
}

// Help is the long help text.
func (convertOptions) Help() string {
	return `Converts an adapter between melo's own file, LoRA-ViT's file and PEFT's folder, any to any; or a base between the
names of timm and Hugging Face (plain ViTs), or to other numbers (all). Everything in IN
is used, or the command fails and says what is missing and what belongs to nothing. OUT is replaced in one step:
whatever fails, the old one stays as it was.

LoRA-ViT and PEFT know neither labels nor preprocessing nor the base's identity: give --base and --labels to make
adapters from them that know what they need. What OUT has no place for is listed.

Examples:

    melo convert --base vit_b/ --labels benign,malignant peft/ busi.safetensors
    melo convert --base vit_b/ --alpha 8 loravit.safetensors busi.safetensors
    melo convert --to peft busi.safetensors peft/
    melo convert --to peft --names gen4 busi.safetensors peft_4/
    melo convert --to loravit --fold-scale busi.safetensors loravit.safetensors
    melo convert --to native --dtype bf16 busi.safetensors small.safetensors
    melo convert --merge --base vit_b/ busi.safetensors merged/
    melo convert --to timm vit_b/ vit_b_timm/
    melo convert --dtype bf16 vit_b/ vit_b_bf16/
    melo convert --to onnx --base vit_b/ busi.safetensors busi.onnx` + exitHelp
}

// Validate refuses option values that cannot be.
func (o *convertOptions) Validate() error {
	if o.Alpha < 0 {
		return fmt.Errorf("--alpha %d, expected at least 1", o.Alpha)
	}
	return nil
}

// convertTypes are the types of --dtype; the empty one is as it is stored.
var convertTypes = map[string]safetensors.DType{"f32": safetensors.F32, "f16": safetensors.F16, "bf16": safetensors.BF16}

var moduleNames = map[string]adapterfile.Names{
	"": "", "gen4": adapterfile.NamesHF4, "gen5": adapterfile.NamesHF5, "timm": adapterfile.NamesTimm,
}

// headTypes are the types of --head; the empty one is chosen by --dtype.
var headTypes = map[string]safetensors.DType{"auto": "", "f32": safetensors.F32, "f24": adapterfile.Head24, "f16": safetensors.F16,
	"bf16": safetensors.BF16, "i8": safetensors.I8}

// options are those of the conversion.
func (o *convertOptions) options() (c convert.Options, err error) {
	c = convert.Options{In: o.In, Out: o.Out, To: o.To, DType: convertTypes[o.DType], Head: headTypes[o.Head], Labels: o.Labels,
		Task: adapterfile.Task(o.Task), Alpha: o.Alpha, Heads: o.Heads, Image: o.Size, Names: moduleNames[o.Names], Bare: o.Bare,
		FoldScale: o.FoldScale, DropHead: o.DropHead}
	const most = 256 // a file does not tell the depth of its base
	if c.Blocks, err = experiment.ParseBlocks(o.Blocks, most); err != nil {
		return c, usage(err)
	}
	c.Prepare, err = o.override(o.Size)
	return c, err
}

// Run converts.
func (o *convertOptions) Run(ctx context.Context, s *stdio) error {
	from, err := "base", error(nil)
	if o.In != bases.Embedded {
		from, err = convert.Format(o.In)
	}
	if err != nil {
		return convertError(err)
	}
	c, err := o.options()
	if err != nil {
		return err
	}
	var doc *convert.Document
	switch {
	case o.To == "onnx":
		doc, err = o.toONNX(ctx, s, c, from)
	case from == "base":
		if err := o.checkBase(&c); err != nil {
			return usage(err)
		}
		doc, err = convert.WriteBase(ctx, c)
	case o.Merge:
		doc, err = o.merge(ctx, s, c, from)
	default:
		doc, err = o.convert(ctx, s, c, from)
	}
	if err != nil {
		return convertError(err)
	}
	lines.Converted(s.lines(), doc)
	if len(doc.Lost) > 0 {
		s.notef("no place in OUT for: %s", strings.Join(doc.Lost, ", "))
	}
	for _, note := range doc.Notes {
		s.notef("%s", note)
	}
	return s.document(doc)
}

// convertError gives an error of a conversion its status.
func convertError(err error) error {
	switch {
	case errors.As(err, new(*convert.OptionError)):
		return usage(err)
	case errors.As(err, new(*convert.InputError)):
		return badInput(hintPrepare(err))
	}
	return err
}

// checkBase refuses options that make no sense for a base.
func (o *convertOptions) checkBase(c *convert.Options) error {
	if o.To == "" && o.DType == "" && c.Prepare.Empty() && o.Heads == 0 && checkpoint.Plain(o.In) {
		return fmt.Errorf("convert: %s is a base: give --to hf, --to timm, --dtype, or how images are prepared", o.In)
	}
	for _, x := range []struct {
		option string
		given  bool
	}{
		{"--to " + o.To, o.To != "" && o.To != "hf" && o.To != "timm"}, {"--base", o.Base != ""}, {"--head", o.Head != "auto"},
		{"--labels", len(o.Labels) > 0}, {"--task", o.Task != ""}, {"--alpha", o.Alpha > 0}, {"--blocks", o.Blocks != ""},
		{"--names", o.Names != ""}, {"--bare", o.Bare}, {"--fold-scale", o.FoldScale}, {"--drop-head", o.DropHead},
	} {
		if x.given {
			return fmt.Errorf("convert: %s is for adapters, %s is a base", x.option, o.In)
		}
	}
	return nil
}

// convert converts an adapter.
func (o *convertOptions) convert(ctx context.Context, s *stdio, c convert.Options, from string) (*convert.Document, error) {
	if err := c.Settle(from); err != nil {
		return nil, err
	}
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return nil, err
	}
	base, err := o.openBase(c, from)
	if err != nil {
		return nil, err
	}
	f, err := convert.ReadAdapter(c, from, base)
	if err != nil {
		return nil, err
	}
	if base != nil && from != "native" {
		if err := tellPrepare(s, base.Model); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return convert.WriteAdapter(c, from, f, base)
}

// openBase opens what --base names, nil if that is nothing.
func (o *convertOptions) openBase(c convert.Options, from string) (*convert.Base, error) {
	if o.Base == "" {
		return nil, nil
	}
	form := baseForm{heads: o.Heads, prepare: c.Prepare}
	if from == "native" { // the adapter may take images of another size than the base
		f, err := adapterfile.Read(o.In)
		if err != nil {
			return nil, badInput(err)
		}
		form.image = f.Meta.Recipe.Size
	}
	pool := par.New(0)
	defer pool.Close()
	m, err := openBase(o.Base, pool, form)
	if err != nil {
		return nil, err
	}
	digest, err := bases.Digest(nil, o.Base)
	if err != nil {
		return nil, badInput(err)
	}
	return &convert.Base{Path: o.Base, Model: m, Digest: digest}, nil
}

// asTold refuses what an adapter is told by, for conversions that take it as it is.
func (o *convertOptions) asTold(what string) error {
	for _, x := range []struct {
		option string
		given  bool
	}{{"--labels", len(o.Labels) > 0}, {"--task", o.Task != ""}, {"--alpha", o.Alpha > 0}, {"--blocks", o.Blocks != ""}} {
		if x.given {
			return usage(fmt.Errorf("convert: %s is not for %s: an adapter that does not tell it is converted to a native one first", x.option, what))
		}
	}
	return nil
}

// merge writes the base with the adapter in its weights.
func (o *convertOptions) merge(ctx context.Context, s *stdio, c convert.Options, from string) (*convert.Document, error) {
	if o.To != "" && o.To != "hf" && o.To != "timm" {
		return nil, usage(fmt.Errorf("convert: --merge writes a base: expected --to hf or --to timm, not %s", o.To))
	}
	if o.Base == "" && from != "native" {
		return nil, usage(fmt.Errorf("convert: --merge needs --base"))
	}
	if err := o.asTold("--merge"); err != nil {
		return nil, err
	}
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return nil, err
	}
	base, a, err := o.adapted(c)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	return convert.Merged(ctx, c, from, a)
}

// adapted puts the adapter into the base's weights. The base is to be closed.
func (o *convertOptions) adapted(c convert.Options) (*facade.Base, *convert.Adapted, error) {
	base, adapter, err := facade.OpenFor(o.In, o.Base, facade.Remember(cacheDir()), facade.Prepare(c.Prepare, o.Heads))
	if err != nil {
		return nil, nil, badInput(hintPrepare(err))
	}
	a := &convert.Adapted{Digest: adapter.Digest(), Labels: adapter.Labels(), Meta: adapter.Metadata()}
	if a.Model, err = base.Merged(adapter); err == nil {
		a.Base, err = base.Digest()
	}
	if err != nil {
		return nil, nil, badInput(errors.Join(err, base.Close()))
	}
	return base, a, nil
}

// toONNX writes a base, with or without an adapter in its weights, as an ONNX model.
func (o *convertOptions) toONNX(ctx context.Context, s *stdio, c convert.Options, from string) (*convert.Document, error) {
	for _, x := range []struct {
		option string
		given  bool
	}{
		{"--dtype " + o.DType, o.DType != "" && o.DType != "f32"}, {"--head", o.Head != "auto"}, {"--names", o.Names != ""}, {"--bare", o.Bare},
		{"--fold-scale", o.FoldScale}, {"--drop-head", o.DropHead}, {"--base", o.Base != "" && from == "base"},
	} {
		if x.given {
			return nil, usage(fmt.Errorf("convert: %s has no meaning for --to onnx (%s), whose numbers are f32", x.option, from))
		}
	}
	if err := o.asTold("--to onnx"); err != nil {
		return nil, err
	}
	if from == "base" {
		return convert.BaseONNX(ctx, c)
	}
	if o.Base == "" && from != "native" {
		return nil, usage(fmt.Errorf("convert: --to onnx needs --base for an adapter of %s", from))
	}
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return nil, err
	}
	base, a, err := o.adapted(c)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	return convert.AdaptedONNX(ctx, c, from, a)
}
