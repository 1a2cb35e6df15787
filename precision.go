package melo

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"

	"melo/internal/kernel"
	"melo/lora/adapterfile"
	"melo/vit"
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
type SelfCheckError struct {
	Path      string // of the adapter
	Precision Precision
	// Distance is the greatest difference of a logit, relative to the greatest logit or 1; Allowed is what it
	// may be. Distance is NaN if there is no self-test to compare with.
	Distance, Allowed float64
}

// Error names the adapter, the precision and the two distances.
func (e *SelfCheckError) Error() string {
	if math.IsNaN(e.Distance) {
		return fmt.Sprintf("melo: %s: has no self-test, so that answers in %v cannot be checked", e.Path, e.Precision)
	}
	return fmt.Sprintf("melo: %s: in %v the answers to its self-test are off by %.3g, allowed are %.3g", e.Path, e.Precision, e.Distance, e.Allowed)
}

// allowedDistance is how far the logits of a self-test may be off. Products are good to 0.2 % in bf16 and 1 to 2 % in int8 (docs/numerics.md), through
// a dozen blocks that partly average it out; five times what trained adapters show is a fault.
var allowedDistance = map[Precision]float64{BF16: 0.05, I8: 0.25}

// checkSelf compares the adapter's answers to its self-test with those that its file has. float32 is taken on
// trust: its products differ by rounding only, and a pass or two would double the time to the first answer.
func (b *Base) checkSelf(a *Adapter) error {
	p := b.model.Precision
	if p == F32 || a.tuned != nil { // tuned weights are float32
		return nil
	}
	test := a.meta.SelfTest
	if test == nil {
		return &SelfCheckError{a.path, p, math.NaN(), allowedDistance[p]}
	}
	// The answers depend on base, adapter, precision and kernels, and on this program.
	key := fmt.Sprintf("self-check of %s on %s in %v with %s by %s", a.digest, a.meta.Base.Digest, p, kernel.Name(), revision())
	known := b.known
	if a.meta.Base.Digest == "" || revision() == "" {
		known = nil
	}
	if _, passed := known.Get(key); passed {
		return nil
	}
	input := make([]float32, a.recipe.Values())
	worst := 0.0
	for i, want := range test.Logits {
		adapterfile.SelfTestInput(input, test.Seed, i)
		got, err := b.logits(a, input)
		if err != nil {
			return err
		}
		worst = max(worst, distance(got, want))
	}
	if !(worst <= allowedDistance[p]) {
		return &SelfCheckError{a.path, p, worst, allowedDistance[p]}
	}
	known.Put(key, "passed") // or it is checked again
	return nil
}

// revision names the program's source, if it is exactly a commit.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	commit := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value != "false":
			return ""
		}
	}
	return commit
}

// distance is the greatest difference, relative to the greatest magnitude of want or 1.
func distance(got, want []float32) float64 {
	size, worst := 1.0, 0.0
	for i, w := range want {
		size = max(size, math.Abs(float64(w)))
		worst = max(worst, math.Abs(float64(got[i]-w)))
	}
	return worst / size
}

// logits returns the logits of one input [3, side, side].
func (b *Base) logits(a *Adapter, input []float32) ([]float32, error) {
	answers, err := b.answer(a, input, 1)
	if err != nil {
		return nil, err
	}
	return answers[0].Logits, nil
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
			s.tell(fmt.Sprintf("this CPU (%s) has no instructions for %v", kernel.Name(), s.precision))
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
	}
}

func (s *settings) tell(reason string) {
	if s.report != nil {
		s.report(fmt.Sprintf("%s: using %v", reason, slower(s.precision)))
	}
}
