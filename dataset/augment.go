package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Augment configures the augmentation of training images. The zero value changes nothing. The variation of an
// image is drawn from (seed, epoch, index), so it does not depend on workers or batches.
type Augment struct {
	// Flip mirrors half of the images left to right. Do not use it where laterality matters.
	Flip bool `json:"flip,omitempty"`
	// FlipVertical mirrors half of the images top to bottom.
	FlipVertical bool `json:"flip_vertical,omitempty"`
	// Crop is the smallest fraction of the area that a random crop keeps, in (0, 1); 0 and 1 disable cropping.
	// The crop is resized to the input; its aspect ratio varies by up to CropAspect.
	Crop float64 `json:"crop,omitempty"`
	// CropAspect is the maximum aspect ratio of a crop, at least 1; 0 means 4/3.
	CropAspect float64 `json:"crop_aspect,omitempty"`
	// Rotate is the maximum rotation in either direction, in degrees.
	Rotate float64 `json:"rotate,omitempty"`
	// Brightness and Contrast are the maximum relative changes in either direction, in [0, 1). Brightness
	// scales the samples, Contrast their distance from the image's mean.
	Brightness float64 `json:"brightness,omitempty"`
	Contrast   float64 `json:"contrast,omitempty"`
}

// Validate returns an error that names the first field out of range.
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

// crops reports whether images should be kept larger than the input, because crops follow.
func (a Augment) crops() bool { return a.Crop > 0 && a.Crop < 1 }

// variation holds the random choices for one image.
type variation struct {
	flip, flipVertical bool
	x, y, w, h         float64 // crop, as fractions of the image
	angle              float64 // radians, about the centre of the crop
	gain, spread       float64 // brightness and contrast factors
}

// still is the variation that changes nothing.
var still = variation{w: 1, h: 1, gain: 1, spread: 1}

// draw returns the variation of a sample. It draws all numbers whether or not they are used, so that disabling
// one augmentation does not change the others.
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

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
