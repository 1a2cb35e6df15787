package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"melo.example/melo/bases"
	"melo.example/melo/experiment"
	"melo.example/melo/internal/par"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
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

// formats are the names of adapter formats on the command line.
var formats = map[adapterfile.Kind]string{
	adapterfile.Native: "native", adapterfile.LoRAViT: "loravit", adapterfile.PEFT: "peft",
}

// convertTypes are the types of --dtype; the empty one is as it is stored.
var convertTypes = map[string]safetensors.DType{"f32": safetensors.F32, "f16": safetensors.F16, "bf16": safetensors.BF16}

var moduleNames = map[string]adapterfile.Names{
	"": "", "gen4": adapterfile.NamesHF4, "gen5": adapterfile.NamesHF5, "timm": adapterfile.NamesTimm,
}

// Run converts.
func (o *convertOptions) Run(ctx context.Context, s *stdio) error {
	kind, err := adapterfile.BaseWeights, error(nil)
	if o.In != bases.Embedded {
		if kind, err = adapterfile.Sniff(o.In); err != nil {
			return badInput(err)
		}
	}
	if o.To == "onnx" {
		from, err := o.onnxFrom(kind)
		if err != nil {
			return err
		}
		return o.toONNX(ctx, s, from)
	}
	if kind == adapterfile.BaseWeights {
		return o.convertBase(ctx, s)
	}
	from, ok := formats[kind]
	if !ok {
		return badInput(fmt.Errorf("%s: is %v, expected an adapter of melo, LoRA-ViT or PEFT, or a base", o.In, kind))
	}
	if o.Merge {
		return o.merge(ctx, s, from)
	}
	if err := o.settle(from); err != nil {
		return usage(err)
	}
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return err
	}
	base, err := o.openBase(kind)
	if err != nil {
		return err
	}
	f, err := o.read(kind, base)
	if untold := (*adapterfile.UntoldError)(nil); errors.As(err, &untold) {
		return usage(fmt.Errorf("%w; give --%s", err, untold.What))
	}
	if err != nil {
		return badInput(err)
	}
	if base != nil && kind != adapterfile.Native {
		if err := tellPrepare(s, base.model); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	doc := convertDocument{In: convertedFile{Path: o.In, Format: from, Digest: f.Digest, Bytes: bytesAt(o.In)}, Lost: []string{}, Notes: []string{}}
	doc.describe(o, f, base != nil)
	if o.DropHead {
		dropHead(f)
	}
	if o.FoldScale {
		f = f.Fold()
	}
	if err := o.write(f, base, &doc); err != nil {
		if errors.As(err, new(*adapterfile.FormatError)) {
			return badInput(err)
		}
		return err
	}
	doc.print(s)
	return s.document(doc)
}

// settle completes the options once the format of IN is known, and refuses those that make no sense for it.
func (o *convertOptions) settle(from string) error {
	if o.To == "" && from == "native" {
		return fmt.Errorf("convert: %s is a native adapter: give --to loravit, --to peft or --to native", o.In)
	}
	if o.To == "" {
		o.To = "native"
	}
	if o.To == "hf" || o.To == "timm" {
		return fmt.Errorf("convert: --to %s is for bases, %s is an adapter", o.To, o.In)
	}
	if o.DType == "" {
		o.DType = "f32"
	}
	for _, x := range []struct {
		wrong  bool
		option string
		why    string
	}{
		{o.Alpha > 0 && from != "loravit", "--alpha", "is for LoRA-ViT files, others know it"},
		{o.Blocks != "" && from != "loravit", "--blocks", "is for LoRA-ViT files, others know them"},
		{len(o.Labels) > 0 && from == "native", "--labels", "is for formats that do not know them"},
		{o.Task != "" && from == "native", "--task", "is for formats that do not know it"},
		{o.Names != "" && o.To != "peft", "--names", "is for PEFT folders"},
		{o.Bare && o.To != "peft", "--bare", "is for PEFT folders"},
		{o.Head != "auto" && o.To != "native", "--head", "is for native files"},
	} {
		if x.wrong {
			return fmt.Errorf("convert: %s %s (%s to %s)", x.option, x.why, from, o.To)
		}
	}
	return nil
}

// convertBase is what --base tells.
type convertBase struct {
	model  *vit.Model
	digest string
}

func (o *convertOptions) openBase(kind adapterfile.Kind) (*convertBase, error) {
	if o.Base == "" {
		return nil, nil
	}
	var form baseForm
	if kind == adapterfile.Native { // the adapter may take images of another size than the base
		f, err := adapterfile.Read(o.In)
		if err != nil {
			return nil, badInput(err)
		}
		form.image = f.Meta.Recipe.Size
	}
	pool := par.New(0)
	defer pool.Close()
	form.heads = o.Heads
	var err error
	if form.prepare, err = o.override(o.Size); err != nil {
		return nil, err
	}
	m, err := openBase(o.Base, pool, form)
	if err != nil {
		return nil, err
	}
	digest, err := bases.Digest(nil, o.Base)
	if err != nil {
		return nil, badInput(err)
	}
	return &convertBase{m, digest}, nil
}

// read reads IN, checks it against the base, and records the base in it.
func (o *convertOptions) read(kind adapterfile.Kind, base *convertBase) (*adapterfile.File, error) {
	imports := adapterfile.Import{}
	if base != nil {
		imports = adapterfile.ImportFor(base.model)
	}
	imports.Labels, imports.Task = adapterfile.Labels(o.Labels...), adapterfile.Task(o.Task)
	var f *adapterfile.File
	var err error
	switch kind {
	case adapterfile.Native:
		if f, err = adapterfile.Read(o.In); err == nil && base != nil {
			err = f.CheckBase(&base.model.Config, base.digest)
		}
	case adapterfile.LoRAViT:
		options := adapterfile.LoRAViTOptions{Import: imports, Alpha: o.Alpha}
		const most = 256 // a file does not tell the depth of its base
		if options.Blocks, err = experiment.ParseBlocks(o.Blocks, most); err != nil {
			return nil, err
		}
		f, err = adapterfile.ReadLoRAViT(o.In, options)
	default:
		f, err = adapterfile.ReadPEFT(o.In, imports)
	}
	if err != nil || base == nil || kind == adapterfile.Native {
		return f, err
	}
	id := f.Meta.Base.ID
	if id == "" {
		id = filepath.Base(filepath.Clean(o.Base))
	}
	f.Meta.Base = adapterfile.NewBase(&base.model.Config, id, o.Base, base.digest)
	f.Meta.Recipe = base.model.Recipe
	return f, nil
}

// write writes OUT.
func (o *convertOptions) write(f *adapterfile.File, base *convertBase, doc *convertDocument) error {
	dtype := convertTypes[o.DType]
	doc.Out = convertedFile{Path: o.Out, Format: o.To}
	var err error
	switch o.To {
	case "native":
		types := adapterfile.Types{DType: dtype}
		if o.Head != "auto" {
			types.Head = map[string]safetensors.DType{"f32": safetensors.F32, "f24": adapterfile.Head24, "f16": safetensors.F16,
				"bf16": safetensors.BF16, "i8": safetensors.I8}[o.Head]
		} else if o.DType != "f32" {
			types = adapterfile.Compact(dtype)
		}
		err = f.WriteTypes(o.Out, types)
		doc.Out.Digest = f.Digest
	case "loravit":
		var alpha int
		alpha, err = f.WriteLoRAViT(o.Out, dtype)
		doc.Alpha = &alpha
	default:
		options := adapterfile.PEFTOptions{DType: dtype, Names: moduleNames[o.Names], Bare: o.Bare}
		if base != nil {
			options.Base = &base.model.Config
		}
		err = f.WritePEFT(o.Out, options)
	}
	doc.Out.Bytes = bytesAt(o.Out)
	return err
}

// dropHead removes the head and all that is said about it.
func dropHead(f *adapterfile.File) {
	f.Adapter.Head = nil
	m := &f.Meta
	m.Task, m.Labels, m.Thresholds, m.Temperatures, m.Metrics, m.SelfTest = "", nil, nil, nil, nil, nil
}
