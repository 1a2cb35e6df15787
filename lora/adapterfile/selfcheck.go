package adapterfile

import (
	"fmt"
	"math"
	"runtime/debug"

	"melo.example/melo/memo"
	"melo.example/melo/vit"
)

// SelfCheckError says that an adapter on the base at hand does not answer the inputs of its self-test as it did
// when it was made.
type SelfCheckError struct {
	Path      string // of the adapter
	Precision vit.Precision
	// Distance is the greatest difference of a logit, relative to the greatest logit or 1; Allowed is what it
	// may be. Distance is NaN if there is no self-test to compare with, or the answers are no numbers.
	Distance, Allowed float64
	Missing           bool // there is no self-test
}

// Error names the adapter, the precision and the two distances.
func (e *SelfCheckError) Error() string {
	if e.Missing {
		return fmt.Sprintf("adapterfile: %s: has no self-test, so that answers in %v cannot be checked", e.Path, e.Precision)
	}
	return fmt.Sprintf("adapterfile: %s: in %v the answers to its self-test are off by %.3g, allowed are %.3g",
		e.Path, e.Precision, e.Distance, e.Allowed)
}

// allowedDistance is how far the logits of a self-test may be off. In float32 they differ by rounding, through a
// dozen blocks and between sets of kernels. Products are good to 0.2 % in bf16 and 1 to 2 % in int8
// (docs/numerics.md), through a dozen blocks that partly average it out; five times what trained adapters show is a
// fault.
var allowedDistance = map[vit.Precision]float64{vit.F32: 1e-3, vit.BF16: 0.05, vit.I8: 0.25}

// Untested returns the error of CheckSelf about an adapter that has no self-test, which no base is needed for; nil if it has one, or
// p is float32.
func (f *File) Untested(p vit.Precision) *SelfCheckError {
	if f.Meta.SelfTest != nil || p == vit.F32 {
		return nil
	}
	return &SelfCheckError{Path: f.Path, Precision: p, Distance: math.NaN(), Allowed: allowedDistance[p], Missing: true}
}

// CheckSelf compares the answers of the adapter on the base at hand, which runs in precision p, with those that
// its file has; logits answers one input of n values. Without a self-test, an adapter passes in float32 only. A pass
// is remembered in known, for the same adapter, base, precision, kernels and program.
func (f *File) CheckSelf(p vit.Precision, n int, known *memo.Cache, logits func(input []float32) ([]float32, error)) error {
	if unfit := f.Untested(p); unfit != nil {
		return unfit
	}
	test := f.Meta.SelfTest
	if test == nil {
		return nil
	}
	key := fmt.Sprintf("self-check of %s on %s in %v with %s by %s", f.Digest, f.Meta.Base.Digest, p, vit.Kernels(), revision())
	if f.Digest == "" || f.Meta.Base.Digest == "" || revision() == "" {
		known = nil
	}
	if _, passed := known.Get(key); passed {
		return nil
	}
	input := make([]float32, n)
	worst := 0.0
	for i, want := range test.Logits {
		SelfTestInput(input, test.Seed, i)
		got, err := logits(input)
		if err != nil {
			return err
		}
		if d := distance(got, want); !(d <= worst) { // also when it is not a number
			worst = d
		}
	}
	if !(worst <= allowedDistance[p]) {
		return &SelfCheckError{Path: f.Path, Precision: p, Distance: worst, Allowed: allowedDistance[p]}
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

// distance is the greatest difference, relative to the greatest magnitude of want or 1; NaN if any is.
func distance(got, want []float32) float64 {
	size, worst := 1.0, 0.0
	for i, w := range want {
		size = max(size, math.Abs(float64(w)))
		worst = max(worst, math.Abs(float64(got[i]-w))) // max keeps NaN
	}
	return worst / size
}
