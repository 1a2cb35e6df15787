package adapterfile

import (
	"fmt"
	"math"
	"runtime/debug"

	"melo.example/melo/memo"
	"melo.example/melo/vit"
)

// SelfCheckError reports that an adapter on the given base does not reproduce the logits of its self-test.
type SelfCheckError struct {
	Path      string // of the adapter
	Precision vit.Precision
	// Distance is the greatest difference of a logit, relative to the greatest logit or 1; Allowed is its
	// limit. Distance is NaN if there is no self-test, or a logit is not finite.
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

// allowedDistance is the limit of SelfCheckError.Distance by precision. In float32, logits differ by rounding
// in a dozen blocks, and between kernel sets. Products have relative errors of 0.2 % in bf16 and 1 to 2 % in
// int8 (docs/numerics.md), which partly average out over a dozen blocks. The limits are five times what trained
// adapters show.
var allowedDistance = map[vit.Precision]float64{vit.F32: 1e-3, vit.BF16: 0.05, vit.I8: 0.25}

// Untested returns the error of CheckSelf for an adapter without self-test. It is nil if there is a self-test,
// or p is float32. It needs no base.
func (f *File) Untested(p vit.Precision) *SelfCheckError {
	if f.Meta.SelfTest != nil || p == vit.F32 {
		return nil
	}
	return &SelfCheckError{Path: f.Path, Precision: p, Distance: math.NaN(), Allowed: allowedDistance[p], Missing: true}
}

// CheckSelf compares the adapter's answers on the given base, which runs in precision p, with those recorded in
// its file. logits computes the answer for one input of n values. Without a self-test, an adapter passes only
// in float32. A successful check is cached in known for the same adapter, base, precision, kernels and program.
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
		if d := distance(got, want); !(d <= worst) { // true for NaN, too
			worst = d
		}
	}
	if !(worst <= allowedDistance[p]) {
		return &SelfCheckError{Path: f.Path, Precision: p, Distance: worst, Allowed: allowedDistance[p]}
	}
	known.Put(key, "passed") // on failure the next run checks again
	return nil
}

// revision returns the commit of the program's source, if it was built from an unmodified one.
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

// distance returns the greatest difference, relative to the greatest magnitude of want or 1; NaN if any value
// is NaN.
func distance(got, want []float32) float64 {
	size, worst := 1.0, 0.0
	for i, w := range want {
		size = max(size, math.Abs(float64(w)))
		worst = max(worst, math.Abs(float64(got[i]-w))) // max propagates NaN
	}
	return worst / size
}
