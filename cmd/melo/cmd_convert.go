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
	In  string `arg:"" help:"Input: an adapter (a file of melo or LoRA-ViT, or a PEFT folder) or a base. The format is detected."`
	Out string `arg:"" help:"Output: a file; for PEFT and bases a folder."`

	To    string `enum:"native,loravit,peft,hf,timm,onnx," default:"" placeholder:"FORMAT" help:"Format of OUT. Adapters: native, loravit or peft; bases: hf or timm; onnx writes base and adapter as one ONNX model. Default: native for adapters of other formats; for bases that of IN."`
	Base  string `placeholder:"BASE" help:"Base that the adapter belongs to. IN is checked against it, and its identity, shape and preprocessing are recorded in OUT."`
	DType string `name:"dtype" enum:"f32,f16,bf16," default:"" placeholder:"TYPE" help:"Number format of OUT: f32, f16 or bf16. Default: f32 for adapters; for bases that of IN."`
	Head  string `default:"auto" enum:"auto,f32,f24,f16,bf16,i8" help:"Number format of the head's weight in a native file (${enum}). auto: f32 with --dtype f32, else i8."`

	Labels []string `placeholder:"NAME" group:"Information missing from other formats:" help:"Names of the classes, in the order of the head's outputs."`
	Task   string   `enum:"binary,multiclass,multilabel," default:"" placeholder:"TASK" group:"Information missing from other formats:" help:"Task: binary, multiclass or multilabel. Default: binary for one class, else multiclass."`
	Alpha  int      `placeholder:"N" group:"Information missing from other formats:" help:"Alpha of a LoRA-ViT file; its scale is alpha/rank in integer division. Required unless melo recorded it in the file."`
	Blocks string   `default:"" placeholder:"BLOCKS" group:"Information missing from other formats:" help:"Blocks with LoRA matrices in a LoRA-ViT file, such as 0,2,8-11. Required unless melo recorded them in the file or the base has exactly as many blocks."`

	prepareOptions
	Heads int `placeholder:"N" group:"Settings missing from the base:" help:"Number of attention heads."`
	Size  int `placeholder:"N" group:"Settings missing from the base:" help:"Side of the input in pixels."`

	Names     string `enum:"gen4,gen5,timm," default:"" placeholder:"NAMES" group:"Output format:" help:"Module names in a PEFT folder: gen5 (transformers 5), gen4 (transformers 4) or timm. Default: timm for bases of timm, else gen5."`
	Bare      bool   `group:"Output format:" help:"PEFT: use the module names of a backbone without a classifier (ViTModel)."`
	FoldScale bool   `group:"Output format:" help:"Multiply the scale into B, for formats that cannot express it."`
	Merge     bool   `group:"Output format:" help:"Write a complete model, hf or timm: the weights of --base with the adapter merged into them, and its head."`
	DropHead  bool   `group:"Output format:" help:"Leave out the classification head."`
}

// Help returns the long help text.
func (convertOptions) Help() string {
	return `Converts adapters between melo's own format, LoRA-ViT files and PEFT folders, in any direction. Converts bases
between the tensor names of timm and Hugging Face (plain ViTs), or to another number format (all bases). Every tensor
of IN must be used: otherwise the command fails and lists missing and unknown tensors. OUT is replaced atomically.

LoRA-ViT and PEFT store neither labels nor preprocessing nor the base's identity: add them with --base and --labels.
Information that the format of OUT cannot store is listed.

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

// Validate rejects invalid option values.
func (o *convertOptions) Validate() error {
	if o.Alpha < 0 {
		return fmt.Errorf("--alpha %d, expected at least 1", o.Alpha)
	}
	return nil
}

// convertTypes maps values of --dtype; without the option the type is unchanged.
var convertTypes = map[string]safetensors.DType{"f32": safetensors.F32, "f16": safetensors.F16, "bf16": safetensors.BF16}

var moduleNames = map[string]adapterfile.Names{
	"": "", "gen4": adapterfile.NamesHF4, "gen5": adapterfile.NamesHF5, "timm": adapterfile.NamesTimm,
}

// headTypes maps values of --head; auto depends on --dtype.
var headTypes = map[string]safetensors.DType{"auto": "", "f32": safetensors.F32, "f24": adapterfile.Head24, "f16": safetensors.F16,
	"bf16": safetensors.BF16, "i8": safetensors.I8}

// options returns the options of the conversion.
func (o *convertOptions) options() (c convert.Options, err error) {
	c = convert.Options{In: o.In, Out: o.Out, To: o.To, DType: convertTypes[o.DType], Head: headTypes[o.Head], Labels: o.Labels,
		Task: adapterfile.Task(o.Task), Alpha: o.Alpha, Heads: o.Heads, Image: o.Size, Names: moduleNames[o.Names], Bare: o.Bare,
		FoldScale: o.FoldScale, DropHead: o.DropHead}
	const most = 256 // bounds the range, because a file does not contain the depth of its base
	if c.Blocks, err = experiment.ParseBlocks(o.Blocks, most); err != nil {
		return c, usage(err)
	}
	c.Prepare, err = o.override(o.Size)
	return c, err
}

// Run converts and prints what was converted.
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

// convertError adds the exit status to an error of a conversion.
func convertError(err error) error {
	switch {
	case errors.As(err, new(*convert.OptionError)):
		return usage(err)
	case errors.As(err, new(*convert.InputError)):
		return badInput(hintPrepare(err))
	}
	return err
}

// checkBase rejects options that do not apply to bases.
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

// openBase opens the base given with --base, nil without the option.
func (o *convertOptions) openBase(c convert.Options, from string) (*convert.Base, error) {
	if o.Base == "" {
		return nil, nil
	}
	form := baseForm{heads: o.Heads, prepare: c.Prepare}
	if from == "native" { // the adapter's input size may differ from the base's
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

// asTold rejects options that describe an adapter, for conversions that use the adapter's own description.
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

// merge writes a model with the adapter merged into the base's weights.
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

// adapted merges the adapter into the base's weights. The caller closes the base.
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

// toONNX writes a base as an ONNX model, merged with an adapter if there is one.
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
