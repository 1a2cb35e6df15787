package processor

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"melo.example/melo/imaging"
)

// Override is what a person says about images, over or instead of what files say. Its zero value changes nothing.
type Override struct {
	Mean, Std     string // three numbers with commas between them, or a name: imagenet, half, clip
	Size          int    // side of the input, 0: not said
	Crop          string // share of the shorter side that the input is, such as 0.875; or "squash"
	Interpolation string
	Depth         string // what is white in images of more than 8 bits, as imaging.ParseDepth takes it
	Window        string // how grey values of DICOM objects are chosen, as imaging.ParseWindow takes it
}

// statistics are the means and deviations that have a name.
var statistics = map[string][2][3]float32{
	"imagenet": {meanImageNet, stdImageNet}, "half": {half, half}, "clip": {meanCLIP, stdCLIP},
}

// Empty tells whether nothing is said.
func (o Override) Empty() bool { return o == Override{} }

// Apply changes r. What r does not say (a zero recipe) must be said by o, or the error names the options.
func (o Override) Apply(r *imaging.Recipe) error {
	if o.Empty() {
		return nil
	}
	if err := channels(&r.Mean, "mean", o.Mean, 0); err != nil {
		return err
	}
	if err := channels(&r.Std, "std", o.Std, 1); err != nil {
		return err
	}
	if o.Depth != "" {
		depth, err := imaging.ParseDepth(o.Depth)
		if err != nil {
			return fmt.Errorf("depth %.40q, expected stored, max, or bits=9 to bits=16", o.Depth)
		}
		r.Depth = depth
	}
	if o.Window != "" {
		window, err := imaging.ParseWindow(o.Window)
		if err != nil {
			return fmt.Errorf("window %.40q, expected CENTER,WIDTH, the name of a window, full, range or object", o.Window)
		}
		r.Window = window
	}
	if o.Interpolation != "" {
		r.Interpolation = o.Interpolation
	}
	if o.Size > 0 && o.Size != r.Size {
		*r = Scale(*r, o.Size)
	}
	switch {
	case o.Crop == "squash":
		r.Resize, r.Fit, r.Longest, r.Cut = 0, "", 0, ""
	case o.Crop != "":
		share, err := strconv.ParseFloat(o.Crop, 64)
		if err != nil {
			return fmt.Errorf("crop %.40q, expected a share such as 0.875, or squash", o.Crop)
		}
		r.Longest, r.Cut = 0, ""
		if err := setMargin(r, share, ""); err != nil {
			return fmt.Errorf("crop %s, expected above 0.01 and at most 1", o.Crop)
		}
	}
	return nil
}

func channels(dst *[3]float32, what, text string, which int) error {
	if text == "" {
		return nil
	}
	if named, ok := statistics[text]; ok {
		*dst = named[which]
		return nil
	}
	parts := strings.Split(text, ",")
	if len(parts) != 3 {
		return fmt.Errorf("%s %.60q, expected three numbers such as 0.485,0.456,0.406, or imagenet, half or clip", what, text)
	}
	for i, part := range parts {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 32)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) || which == 1 && v <= 0 {
			return fmt.Errorf("%s %.60q, expected three numbers such as 0.485,0.456,0.406, or imagenet, half or clip", what, text)
		}
		dst[i] = float32(v)
	}
	return nil
}

// Scale makes a recipe produce images of the given side, keeping its margin around the crop.
func Scale(r imaging.Recipe, side int) imaging.Recipe {
	if r.Size == side {
		return r
	}
	if r.Size > 0 {
		scaled := func(n int) int { return int(math.Round(float64(n) * float64(side) / float64(r.Size))) }
		r.Resize, r.Longest = scaled(r.Resize), scaled(r.Longest)
	}
	r.Size = side
	return r
}
