package imaging

import (
	"math"
	"sync"
)

// Recipe says how an image becomes the input of a model. It comes from the configuration of the base
// model and is stored in every adapter, so that nobody has to type it at inference.
type Recipe struct {
	// Size is the side of the square input, in pixels.
	Size int `json:"size"`
	// Resize is the length that the shorter side is resized to, keeping the aspect ratio, before the
	// central Size x Size pixels are cut out; 0 squashes the whole image to Size x Size.
	Resize int `json:"resize,omitempty"`
	// Interpolation is one of "bilinear", "bicubic", "box", "hamming" and "lanczos".
	Interpolation string `json:"interpolation"`
	// Mean and Std normalise the red, green and blue channel, whose samples are in [0, 1] before.
	Mean [3]float32 `json:"mean"`
	Std  [3]float32 `json:"std"`
	// HorizontalFirst resizes in width first whatever the sizes: the order of Pillow before version 13.
	// The current order differs for images that shrink much more in height than in width, by single
	// levels in some samples.
	HorizontalFirst bool `json:"horizontal_first,omitempty"`
	// Depth says which sample of an image of more than 8 bits is white: [DepthStored], the default, takes 65535;
	// [DepthMaximum] the greatest sample of each image; "bits=12" takes 4095, and images with greater samples are
	// errors. Many cameras and X-ray detectors store 12 bits in files of 16, and nothing in the file says so.
	Depth string `json:"depth,omitempty"`
}

// maxSide bounds Size and Resize: a recipe may come from a file.
const maxSide = 8192

// Validate reports the first field that makes no sense.
func (r Recipe) Validate() error {
	if r.Size < 1 || r.Size > maxSide {
		return errorf("recipe: size %d: expected 1 to %d", r.Size, maxSide)
	}
	if r.Resize != 0 && (r.Resize < r.Size || r.Resize > maxSide) {
		return errorf("recipe: resize %d: expected 0, or %d (the size) to %d", r.Resize, r.Size, maxSide)
	}
	if filterByName(r.Interpolation) == nil {
		return errorf("recipe: interpolation %q: expected %s, %s, %s, %s or %s",
			r.Interpolation, Bilinear, Bicubic, Box, Hamming, Lanczos)
	}
	if _, err := depthWhite(r.Depth); err != nil {
		return errorf("recipe: %w", err)
	}
	for c := range 3 {
		mean, std := float64(r.Mean[c]), float64(r.Std[c])
		if math.IsNaN(mean) || math.IsInf(mean, 0) {
			return errorf("recipe: mean[%d] is %v: expected a finite number", c, mean)
		}
		if !(std > 0) || math.IsInf(std, 0) {
			return errorf("recipe: std[%d] is %v: expected a positive finite number", c, std)
		}
	}
	return nil
}

// Values returns the length of the tensor that the recipe produces: 3 x Size x Size.
func (r Recipe) Values() int { return 3 * r.Size * r.Size }

// scratches serves Apply; callers with a loop of their own keep a Scratch per goroutine.
var scratches = sync.Pool{New: func() any { return new(Scratch) }}

// Apply writes the image as a CHW tensor of 3 x Size x Size values: what torchvision gives for Resize,
// CenterCrop, ToTensor, Normalize on Pillow images. Grey images fill the three channels alike; 16-bit
// samples are divided by 65535, or by what Depth says. It is safe for concurrent use.
func (r Recipe) Apply(img *Image, dst []float32) error {
	s := scratches.Get().(*Scratch)
	defer scratches.Put(s)
	return s.Apply(r, img, dst)
}

// Apply is [Recipe.Apply] with the buffers of s.
func (s *Scratch) Apply(r Recipe, img *Image, dst []float32) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if len(dst) != r.Values() {
		return errorf("recipe: output of %d values, expected 3 x %d x %d", len(dst), r.Size, r.Size)
	}
	fits := img.W == r.Size && img.H == r.Size && (r.Resize == 0 || r.Resize == r.Size)
	if fits && (r.Depth == DepthStored || img.Bits == 8) {
		return r.Normalize(img, dst)
	}
	if err := s.Fit(r, img, &s.fit); err != nil {
		return err
	}
	return r.Normalize(&s.fit, dst)
}

// Fit is the first half of the recipe: img resized and cropped to Size x Size into dst, whose buffers are
// reused, with its samples stretched to their full range where Depth asks for it.
func (s *Scratch) Fit(r Recipe, img, dst *Image) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if err := img.check(); err != nil {
		return err
	}
	white, err := r.white(img)
	if err != nil {
		return err
	}
	s.resample(dst, img, r.window(img.W, img.H), r.Interpolation, r.HorizontalFirst)
	dst.Source = img.Source
	stretch(dst, white)
	return nil
}

// Resize resizes img to w x h into dst, whose buffers are reused, as the current
// Pillow's Image.resize does.
func (s *Scratch) Resize(img, dst *Image, w, h int, interpolation string) error {
	if w < 1 || h < 1 || w > maxSide || h > maxSide {
		return errorf("resize to %d x %d: expected 1 to %d", w, h, maxSide)
	}
	if filterByName(interpolation) == nil {
		return errorf("resize: unknown interpolation %q", interpolation)
	}
	if err := img.check(); err != nil {
		return err
	}
	s.resample(dst, img, window{w, h, 0, 0, w, h}, interpolation, false)
	return nil
}

// window is torchvision's arithmetic: Resize(n) makes the longer side int(n*long/short), CenterCrop rounds
// halves to even.
func (r Recipe) window(w, h int) window {
	if r.Resize == 0 {
		return window{r.Size, r.Size, 0, 0, r.Size, r.Size}
	}
	fw, fh := r.Resize, r.Resize
	if w <= h {
		fh = int(int64(r.Resize) * int64(h) / int64(w))
	} else {
		fw = int(int64(r.Resize) * int64(w) / int64(h))
	}
	middle := func(full int) int { return int(math.RoundToEven(float64(full-r.Size) / 2)) }
	return window{fw, fh, middle(fw), middle(fh), r.Size, r.Size}
}

// Normalize is the second half of the recipe, for an image that [Scratch.Fit] has made, or that is Size x Size
// and of full range already: (sample/max - mean) / std in float32, channel by channel.
func (r Recipe) Normalize(img *Image, dst []float32) error {
	n := r.Size * r.Size
	if err := img.check(); err != nil {
		return err
	}
	if img.W != r.Size || img.H != r.Size || len(dst) != 3*n {
		return errorf("normalize: %d x %d pixels into %d values, expected %d x %d into %d",
			img.W, img.H, len(dst), r.Size, r.Size, 3*n)
	}
	for c := range 3 {
		out := dst[c*n : (c+1)*n]
		mean, std := r.Mean[c], r.Std[c]
		from := min(c, img.C-1)
		if img.Bits == 16 {
			for i := range out {
				out[i] = (float32(img.Pix16[i*img.C+from])/math.MaxUint16 - mean) / std
			}
			continue
		}
		var table [256]float32
		for v := range table {
			table[v] = (float32(v)/math.MaxUint8 - mean) / std
		}
		src := img.Pix8[from:]
		for i, o := 0, 0; i < len(out) && o < len(src); i, o = i+1, o+img.C {
			out[i] = table[src[o]]
		}
	}
	return nil
}
