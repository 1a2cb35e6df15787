package melo

import (
	"errors"
	"fmt"
	"runtime"

	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// Precision is how the maps of a base are multiplied.
type Precision = vit.Precision

// The precisions, each faster and coarser than the one before. BF16 and I8 need instructions that not
// every CPU has.
const (
	F32  = vit.F32
	BF16 = vit.BF16
	I8   = vit.I8
)

// InPrecision sets the precision of the base; F32 is the default. OpenFor takes it as the fastest that is
// wanted: it falls back to slower ones until the CPU has the instructions and the adapter answers its self-test
// as it did in float32 (see SelfCheckError), and tells report why. A nil report is not told.
func InPrecision(p Precision, report func(reason string)) Option {
	return func(s *settings) { s.precision, s.report = p, report }
}

// Fastest returns the fastest precision that this CPU has instructions for.
func Fastest() Precision {
	for _, p := range []Precision{I8, BF16} {
		if vit.Supports(p) {
			return p
		}
	}
	return F32
}

// SelfCheckError says that an adapter on this base does not answer the inputs of its self-test as it did
// when it was made.
type SelfCheckError = adapterfile.SelfCheckError

// checkSelf compares the adapter's answers to its self-test with those that its file has. float32 is taken on
// trust: its products differ by rounding only, and a pass or two would double the time to the first answer.
func (b *Base) checkSelf(a *Adapter, f *adapterfile.File) error {
	p := b.model.Precision
	if p == F32 || a.meta.Method == lora.FullTuning { // tuned weights are float32
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

// slower returns the precision to fall back to.
func slower(p Precision) Precision {
	if p == I8 && vit.Supports(BF16) {
		return BF16
	}
	return F32
}

// openFor opens the base at path for the adapter in f, in the fastest precision from s.precision on that the CPU
// has and the adapter's self-test allows.
func openFor(f *adapterfile.File, path string, s settings) (*Base, *Adapter, error) {
	if s.image == 0 {
		s.image = f.Meta.Recipe.Size // position embeddings are resized as they were in training
	}
	for {
		if !vit.Supports(s.precision) {
			s.tell(fmt.Sprintf("this CPU (%s) has no instructions for %v", vit.Kernels(), s.precision))
			s.precision = slower(s.precision)
			continue
		}
		if unfit := f.Untested(s.precision); unfit != nil && f.Meta.Method != lora.FullTuning { // before the base is read for nothing
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
		runtime.GC() // so that the base is not in memory twice
	}
}

func (s *settings) tell(reason string) {
	if s.report != nil {
		s.report(fmt.Sprintf("%s: using %v", reason, slower(s.precision)))
	}
}
