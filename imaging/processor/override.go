package processor

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"melo.example/melo/imaging"
)

// Override holds preprocessing settings that a user gives to replace or complete those in files. The zero value
// changes nothing.
type Override struct {
	Mean, Std     string // three comma-separated numbers, or a name: imagenet, half, clip
	Size          int    // side of the input; 0: not given
	Crop          string // fraction of the shorter side that the input covers, such as 0.875; or "squash"
	Interpolation string
	Depth         string // white level of images with more than 8 bits, see imaging.ParseDepth
	Window        string // grey values of DICOM objects, see imaging.ParseWindow
}

// statistics maps names to means and standard deviations.
var statistics = map[string][2][3]float32{
	"imagenet": {meanImageNet, stdImageNet}, "half": {half, half}, "clip": {meanCLIP, stdCLIP},
}

// Empty reports whether no setting is given.
func (o Override) Empty() bool { return o == Override{} }

// Apply changes r. If r is zero, o must be complete; otherwise the error names the missing options.
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

// Scale adapts a recipe to images of the given side, keeping its crop margin in proportion.
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
