package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Augment says how training images are varied. The zero value varies nothing. Each image's variation is
// drawn from (seed, epoch, index), so it does not depend on workers or batches.
type Augment struct {
	// Flip mirrors left and right in half of the images; wrong where laterality matters.
	Flip bool `json:"flip,omitempty"`
	// FlipVertical mirrors top and bottom in half of the images.
	FlipVertical bool `json:"flip_vertical,omitempty"`
	// Crop is the smallest share of the area that a random crop keeps, in (0, 1); 0 and 1 keep all.
	// The crop is resized to the input; its aspect ratio varies by up to CropAspect.
	Crop float64 `json:"crop,omitempty"`
	// CropAspect is the greatest ratio of a crop's sides, at least 1; 0 means 4/3.
	CropAspect float64 `json:"crop_aspect,omitempty"`
	// Rotate is the greatest rotation either way, in degrees.
	Rotate float64 `json:"rotate,omitempty"`
	// Brightness and Contrast are the greatest relative changes either way, in [0, 1): the samples are
	// multiplied, and their distance from the image's mean is.
	Brightness float64 `json:"brightness,omitempty"`
	Contrast   float64 `json:"contrast,omitempty"`
}

// Validate reports the first field that is out of range.
func (a Augment) Validate() error {
	for _, f := range []struct {
		name       string
		v, lo, top float64
	}{
		{"crop", a.Crop, 0, 1}, {"rotate", a.Rotate, 0, 180},
		{"brightness", a.Brightness, 0, 0.999}, {"contrast", a.Contrast, 0, 0.999},
	} {
		if !(f.v >= f.lo && f.v <= f.top) {
			return fmt.Errorf("dataset: augment: %s is %v: expected %v to %v", f.name, f.v, f.lo, f.top)
		}
	}
	if a.Crop != 0 && a.Crop < 0.01 {
		return fmt.Errorf("dataset: augment: crop is %v: expected 0, or 0.01 to 1", a.Crop)
	}
	if a.CropAspect != 0 && !(a.CropAspect >= 1 && a.CropAspect <= 10) {
		return fmt.Errorf("dataset: augment: crop_aspect is %v: expected 0, or 1 to 10", a.CropAspect)
	}
	return nil
}

// crops tells whether crops make it worth to keep images larger than the input.
func (a Augment) crops() bool { return a.Crop > 0 && a.Crop < 1 }

// variation is what one image gets.
type variation struct {
	flip, flipVertical bool
	x, y, w, h         float64 // the crop, in shares of the image
	angle              float64 // radians, about the centre of the crop
	gain, spread       float64 // brightness and contrast factors
}

// still is the variation that changes nothing.
var still = variation{w: 1, h: 1, gain: 1, spread: 1}

// draw picks the variation of a sample. All numbers are drawn whether they are used or not, so that
// switching one augmentation off leaves the others as they were.
func (a Augment) draw(seed, epoch, index uint64) variation {
	var pcg rand.PCG
	pcg.Seed(mix(seed^0x617567), mix(epoch<<32^index)) // "aug"
	uniform := func(lo, hi float64) float64 {
		return lo + (hi-lo)*(float64(pcg.Uint64()>>11)/(1<<53))
	}
	v := still
	v.flip = uniform(0, 1) < 0.5 && a.Flip
	v.flipVertical = uniform(0, 1) < 0.5 && a.FlipVertical
	area, logRatio, px, py := uniform(0, 1), uniform(-1, 1), uniform(0, 1), uniform(0, 1)
	if a.crops() {
		aspect := a.CropAspect
		if aspect == 0 {
			aspect = 4.0 / 3
		}
		area = a.Crop + (1-a.Crop)*area
		ratio := math.Exp(logRatio * math.Log(aspect))
		v.w, v.h = min(math.Sqrt(area*ratio), 1), min(math.Sqrt(area/ratio), 1)
		v.x, v.y = px*(1-v.w), py*(1-v.h)
	}
	v.angle = uniform(-a.Rotate, a.Rotate) * math.Pi / 180
	v.gain = 1 + uniform(-a.Brightness, a.Brightness)
	v.spread = 1 + uniform(-a.Contrast, a.Contrast)
	return v
}

// mix scatters the bits of a counter (the finaliser of SplitMix64, Steele, Lea and Flood 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
