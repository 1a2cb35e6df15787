package adapterfile

import (
	"errors"
	"fmt"
	"slices"

	"melo.example/melo/compute"
	"melo.example/melo/fit"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// Fit describes File.Fit, the description of the training images: which block it refers to, and how its
// threshold was chosen.
type Fit struct {
	// Block is the block whose input is summarised, with the adapter applied: the class token, if there is one,
	// and the mean of the patch tokens.
	Block      int `json:"block"`
	Size       int `json:"size"`       // values per summary; set by Write
	Directions int `json:"directions"` // set by Write
	// an image with a higher score is unlike the training images; set by Write
	Threshold float64 `json:"threshold"`
	Images    int     `json:"images"` // number of training images described
	// On says which images the threshold was chosen on: "val", or "train" for training images held out in turn
	// together with the validation images. OnImages is their number.
	On       string  `json:"on"`
	OnImages int     `json:"on_images"`
	Refusal  float64 `json:"refusal"`  // intended share of the adapter's own images to be called unlike
	Expected float64 `json:"expected"` // expected share, given the number of images
	// Policy is FitRefuse if an unlike image must be an error instead of an answer with a mark.
	Policy string `json:"policy,omitempty"`
}

// FitRefuse is the policy that refuses unlike images.
const FitRefuse = "refuse"

// Refuses reports whether the adapter's policy refuses unlike images.
func (m *Metadata) Refuses() bool { return m.Fit != nil && m.Fit.Policy == FitRefuse }

// Names of the tensors of a description.
const (
	fitMean       = "fit.mean"       // F32 [size]
	fitScale      = "fit.scale"      // F32 [size]
	fitDirections = "fit.directions" // I8 [directions, size]
	fitSteps      = "fit.steps"      // F32 [directions]
	fitVariances  = "fit.variances"  // F32 [directions + 1], the last is the variance in all other directions
	fitScores     = "fit.scores"     // F32 [quantiles]
)

// checkFitOn returns an error if the description is not one of summaries of a base of shape c.
func (m *Metadata) checkFitOn(c *vit.Config) error {
	if f := m.Fit; f != nil && (f.Block != compute.MiddleBlock(c) || f.Size != compute.EarlySize(c)) {
		return fmt.Errorf("its fit is of %d numbers before block %d, the base has %d before block %d", f.Size, f.Block, compute.EarlySize(c), compute.MiddleBlock(c))
	}
	return nil
}

func (m *Metadata) checkFit() error {
	f := m.Fit
	if f == nil {
		return nil
	}
	c := vit.Config{}
	c.Width, c.Class = m.Base.Width, f.Size != m.Base.Width
	switch {
	case f.Size != compute.EarlySize(&c):
		return fmt.Errorf("fit of %d numbers, expected %d or %d", f.Size, m.Base.Width, 2*m.Base.Width)
	case f.Block < 0 || m.Base.Depth > 0 && f.Block != m.Base.Depth/2:
		return fmt.Errorf("fit before block %d of %d, expected the middle one", f.Block, m.Base.Depth)
	case f.Directions < 0 || f.Directions > fit.MaxDirections:
		return fmt.Errorf("fit of %d directions, expected at most %d", f.Directions, fit.MaxDirections)
	case f.Policy != "" && f.Policy != FitRefuse:
		return fmt.Errorf("fit policy %.40q, expected %q or none", f.Policy, FitRefuse)
	case f.On != "val" && f.On != "train":
		return fmt.Errorf("fit threshold chosen on %.40q, expected val or train", f.On)
	case !(f.Refusal > 0 && f.Refusal < 1) || !(f.Expected >= 0 && f.Expected < 1):
		return fmt.Errorf("fit refusals %v and %v, expected shares", f.Refusal, f.Expected)
	}
	return nil
}

// describeFit sets the metadata fields that follow from the description.
func (f *File) describeFit() error {
	if (f.Meta.Fit == nil) != (f.Fit == nil) {
		return errors.New("a fit without its description, or the other way round")
	}
	if f.Fit == nil {
		return nil
	}
	if err := f.Fit.Validate(); err != nil {
		return err
	}
	f.Meta.Fit.Size, f.Meta.Fit.Directions, f.Meta.Fit.Threshold = f.Fit.Size, f.Fit.Rank(), f.Fit.Threshold
	return nil
}

// fitTensors returns the tensors of the description.
func (f *File) fitTensors() ([]safetensors.TensorData, error) {
	d := f.Fit
	if d == nil {
		return nil, nil
	}
	var list []safetensors.TensorData
	var errs []error
	add := func(name string, values []float32) {
		t, err := encodeTensor(name, safetensors.F32, values, []int{len(values)})
		list, errs = append(list, t), append(errs, err)
	}
	add(fitMean, d.Mean)
	add(fitScale, d.Scale)
	add(fitVariances, append(slices.Clone(d.Variances), d.Rest))
	add(fitScores, d.Scores)
	if n := d.Rank(); n > 0 {
		add(fitSteps, d.Steps)
		data := make([]byte, len(d.Directions))
		for i, q := range d.Directions {
			data[i] = byte(q)
		}
		list = append(list, safetensors.TensorData{Name: fitDirections, DType: safetensors.I8, Shape: []int{n, d.Size}, Data: data})
	}
	return list, errors.Join(errs...)
}

// fit reads the description. If parts are missing or wrong it returns nil, and finish reports them.
func (r *reader) fit(m *Fit) (*fit.Description, error) {
	if m == nil {
		return nil, nil
	}
	d := &fit.Description{Size: m.Size, Threshold: m.Threshold}
	d.Mean, d.Scale = r.floats(fitMean, m.Size), r.floats(fitScale, m.Size)
	variances := r.floats(fitVariances, m.Directions+1)
	quantiles := 0
	if t, ok := r.st.Tensor(fitScores); ok && len(t.Shape) == 1 {
		quantiles = t.Shape[0]
	}
	d.Scores = r.floats(fitScores, quantiles)
	if m.Directions > 0 {
		d.Steps = r.floats(fitSteps, m.Directions)
		if t, ok := r.take(fitDirections, []int{m.Directions, m.Size}); ok {
			if t.DType != safetensors.I8 {
				r.fail("tensor %s: dtype %s, expected I8", fitDirections, t.DType)
			} else {
				d.Directions = make([]int8, len(t.Data))
				for i, b := range t.Data {
					d.Directions[i] = int8(b)
				}
			}
		}
	}
	if len(r.missing) > 0 || r.err != nil || variances == nil {
		return nil, nil
	}
	d.Variances, d.Rest = variances[:m.Directions:m.Directions], variances[m.Directions]
	return d, d.Validate()
}
