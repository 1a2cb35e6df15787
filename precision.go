package melo

import (
	"errors"
	"fmt"
	"runtime"

	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// Precision is the number format in which a base multiplies matrices.
type Precision = vit.Precision

// The precisions, each faster and less exact than the one before. BF16 and I8 need instructions that not every
// CPU has.
const (
	F32  = vit.F32
	BF16 = vit.BF16
	I8   = vit.I8
)

// InPrecision sets the precision of the base; the default is F32. For OpenFor it is the fastest to try: OpenFor
// falls back to slower ones until the CPU supports the precision and the adapter passes its self-test in it
// (see SelfCheckError), and calls report with the reason. report may be nil.
func InPrecision(p Precision, report func(reason string)) Option {
	return func(s *settings) { s.precision, s.report = p, report }
}

// Fastest returns the fastest precision that this CPU supports.
func Fastest() Precision {
	for _, p := range []Precision{I8, BF16} {
		if vit.Supports(p) {
			return p
		}
	}
	return F32
}

// SelfCheckError reports that an adapter on this base does not reproduce the answers to its self-test inputs
// that are stored in its file.
type SelfCheckError = adapterfile.SelfCheckError

// checkSelf compares the adapter's answers to its self-test inputs with those in its file. For float32 it skips
// the test: answers differ by rounding only, and the passes would double the time to the first answer.
func (b *Base) checkSelf(a *Adapter, f *adapterfile.File) error {
	p := b.model.Precision
	if p == F32 || a.meta.Method == lora.FullTuning { // fine-tuned weights are float32
		return nil
	}
	return f.CheckSelf(p, a.recipe.Values(), b.known, func(input []float32) ([]float32, error) {
		y, _, err := b.logits(a, input, 1)
		if err != nil {
			return nil, err
		}
		return y, nil
	})
}

// slower returns the next slower precision.
func slower(p Precision) Precision {
	if p == I8 && vit.Supports(BF16) {
		return BF16
	}
	return F32
}

// openFor opens the base at path for the adapter in f, in the fastest precision not above s.precision that the
// CPU supports and in which the adapter passes its self-test.
func openFor(f *adapterfile.File, path string, s settings) (*Base, *Adapter, error) {
	if s.image == 0 {
		s.image = f.Meta.Recipe.Size // the adapter was trained with this input size
	}
	for {
		if !vit.Supports(s.precision) {
			s.tell(fmt.Sprintf("this CPU (%s) has no instructions for %v", vit.Kernels(), s.precision))
			s.precision = slower(s.precision)
			continue
		}
		// This is known before the base is read.
		if unfit := f.Untested(s.precision); unfit != nil && f.Meta.Method != lora.FullTuning {
			s.tell(unfit.Error())
			s.precision = slower(s.precision)
			continue
		}
		b, a, err := openPair(f, path, s)
		var unfit *SelfCheckError
		if s.precision == F32 || !errors.As(err, &unfit) {
			return b, a, err
		}
		s.tell(unfit.Error())
		s.precision = slower(s.precision)
		runtime.GC() // frees the previous base, to avoid two in memory
	}
}

func (s *settings) tell(reason string) {
	if s.report != nil {
		s.report(fmt.Sprintf("%s: using %v", reason, slower(s.precision)))
	}
}
