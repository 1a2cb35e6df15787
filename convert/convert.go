// Package convert writes adapters in the formats of melo, LoRA-ViT and PEFT, any to any, and bases under the names of
// another library or with numbers of another type. Everything in the input is used, or it is refused with what is missing
// and what belongs to nothing. The output is replaced in one step: whatever fails, the old one stays as it was.
package convert

import (
	"errors"
	"fmt"
	"path/filepath"

	"melo.example/melo/imaging/processor"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// Options say what is converted, and how.
type Options struct {
	In, Out string
	To      string            // native, loravit or peft; of bases hf or timm; of both onnx; empty: native, of bases as In
	DType   safetensors.DType // of numbers in Out; empty: F32, of bases as stored
	Head    safetensors.DType // of the head's weight in a native file; empty: F32 beside F32, else I8

	// What other formats do not tell.
	Labels []string
	Task   adapterfile.Task
	Alpha  int   // of a LoRA-ViT file; 0: as noted in it
	Blocks []int // of a LoRA-ViT file; empty: as noted in it, or all of the base

	// What files of a base do not say.
	Heads   int
	Prepare processor.Override
	Image   int // side of the input of an ONNX model of a base; 0: the base's own

	Names     adapterfile.Names // of modules in a PEFT folder; empty: as fits the base
	Bare      bool              // PEFT: names of a backbone by itself, without a classifier
	FoldScale bool              // multiply the scale into B, for formats that cannot express it
	DropHead  bool              // leave the head out
}

// OptionError is an option that makes no sense for what is converted.
type OptionError struct{ Err error }

// Error says which, and why.
func (e *OptionError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *OptionError) Unwrap() error { return e.Err }

func optionError(format string, args ...any) error {
	return &OptionError{fmt.Errorf("convert: "+format, args...)}
}

// InputError is what is wrong with the input, or with its base.
type InputError struct{ Err error }

// Error says what is wrong.
func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *InputError) Unwrap() error { return e.Err }

func inputError(err error) error {
	if err == nil {
		return nil
	}
	return &InputError{err}
}

// formats are the names of the formats of adapters.
var formats = map[adapterfile.Kind]string{
	adapterfile.Native: "native", adapterfile.LoRAViT: "loravit", adapterfile.PEFT: "peft",
}

// Format returns the format of what lies at a path: native, loravit or peft; "base" for a base.
func Format(path string) (string, error) {
	kind, err := adapterfile.Sniff(path)
	if err != nil {
		return "", inputError(err)
	}
	if kind == adapterfile.BaseWeights {
		return "base", nil
	}
	name, ok := formats[kind]
	if !ok {
		return "", inputError(fmt.Errorf("%s: is %v, expected an adapter of melo, LoRA-ViT or PEFT, or a base", path, kind))
	}
	return name, nil
}

// Settle completes the options for an adapter in a format, and refuses those that make no sense for it.
func (o *Options) Settle(from string) error {
	if o.To == "" && from == "native" {
		return optionError("%s is a native adapter: give --to loravit, --to peft or --to native", o.In)
	}
	if o.To == "" {
		o.To = "native"
	}
	if o.To == "hf" || o.To == "timm" {
		return optionError("--to %s is for bases, %s is an adapter", o.To, o.In)
	}
	if o.DType == "" {
		o.DType = safetensors.F32
	}
	for _, x := range []struct {
		wrong  bool
		option string
		why    string
	}{
		{o.Alpha > 0 && from != "loravit", "--alpha", "is for LoRA-ViT files, others know it"},
		{len(o.Blocks) > 0 && from != "loravit", "--blocks", "is for LoRA-ViT files, others know them"},
		{len(o.Labels) > 0 && from == "native", "--labels", "is for formats that do not know them"},
		{o.Task != "" && from == "native", "--task", "is for formats that do not know it"},
		{o.Names != "" && o.To != "peft", "--names", "is for PEFT folders"},
		{o.Bare && o.To != "peft", "--bare", "is for PEFT folders"},
		{o.Head != "" && o.To != "native", "--head", "is for native files"},
	} {
		if x.wrong {
			return optionError("%s %s (%s to %s)", x.option, x.why, from, o.To)
		}
	}
	return nil
}

// Base is the base that an adapter belongs to.
type Base struct {
	Path   string
	Model  *vit.Model
	Digest string
}

// ReadAdapter reads an adapter, whose options are settled. With a base, which may be nil, the adapter is checked against it,
// and its identity, shape and preprocessing are recorded in an adapter of another format than melo's.
func ReadAdapter(o Options, from string, base *Base) (*adapterfile.File, error) {
	f, err := o.read(from, base)
	if untold := (*adapterfile.UntoldError)(nil); errors.As(err, &untold) {
		return nil, &OptionError{fmt.Errorf("%w; give --%s", err, untold.What)}
	}
	return f, inputError(err)
}

// WriteAdapter writes what [ReadAdapter] has read, with the same base. The file that was read is not to be used any more.
func WriteAdapter(o Options, from string, f *adapterfile.File, base *Base) (*Document, error) {
	doc := newDocument(o.In, o.Out)
	doc.In.Format, doc.In.Digest, doc.In.Bytes = from, f.Digest, bytesAt(o.In)
	doc.describe(&o, f, base != nil)
	if o.DropHead {
		dropHead(f)
	}
	if o.FoldScale {
		f = f.Fold()
	}
	if err := o.write(f, base, doc); err != nil {
		if errors.As(err, new(*adapterfile.FormatError)) {
			return nil, inputError(err)
		}
		return nil, err
	}
	return doc, nil
}

// read reads the adapter, checks it against the base, and records the base in it.
func (o *Options) read(from string, base *Base) (*adapterfile.File, error) {
	imports := adapterfile.Import{}
	if base != nil {
		imports = adapterfile.ImportFor(base.Model)
	}
	imports.Labels, imports.Task = adapterfile.Labels(o.Labels...), o.Task
	var f *adapterfile.File
	var err error
	switch from {
	case "native":
		if f, err = adapterfile.Read(o.In); err == nil && base != nil {
			err = f.CheckBase(&base.Model.Config, base.Digest)
		}
		return f, err
	case "loravit":
		f, err = adapterfile.ReadLoRAViT(o.In, adapterfile.LoRAViTOptions{Import: imports, Alpha: o.Alpha, Blocks: o.Blocks})
	default:
		f, err = adapterfile.ReadPEFT(o.In, imports)
	}
	if err != nil || base == nil {
		return f, err
	}
	id := f.Meta.Base.ID
	if id == "" {
		id = filepath.Base(filepath.Clean(base.Path))
	}
	f.Meta.Base = adapterfile.NewBase(&base.Model.Config, id, base.Path, base.Digest)
	f.Meta.Recipe = base.Model.Recipe
	return f, nil
}

// write writes the output.
func (o *Options) write(f *adapterfile.File, base *Base, doc *Document) (err error) {
	doc.Out.Format = o.To
	switch o.To {
	case "native":
		types := adapterfile.Types{DType: o.DType}
		if o.Head != "" {
			types.Head = o.Head
		} else if o.DType != safetensors.F32 {
			types = adapterfile.Compact(o.DType)
		}
		err = f.WriteTypes(o.Out, types)
		doc.Out.Digest = f.Digest
	case "loravit":
		var alpha int
		alpha, err = f.WriteLoRAViT(o.Out, o.DType)
		doc.Alpha = &alpha
	default:
		options := adapterfile.PEFTOptions{DType: o.DType, Names: o.Names, Bare: o.Bare}
		if base != nil {
			options.Base = &base.Model.Config
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
