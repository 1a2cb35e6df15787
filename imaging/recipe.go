package imaging

import (
	"math"
	"sync"

	"melo.example/melo/dicom/pixel"
)

// Recipe describes preprocessing: how an image becomes the input of a model. It comes from the configuration of
// the base model and is stored in every adapter, so that users need not specify it for inference.
type Recipe struct {
	// Size is the side of the square input, in pixels.
	Size int `json:"size"`
	// Resize is the length to which the shorter side is resized, keeping the aspect ratio, before the central
	// Size x Size pixels are cropped. 0 resizes the whole image to Size x Size, ignoring the aspect ratio. Fit
	// changes this.
	Resize int `json:"resize,omitempty"`
	// Fit is empty; or "squash": the whole image is resized to Resize x Resize before the crop; or "none": the
	// image keeps its size, and Resize is 0.
	Fit string `json:"fit,omitempty"`
	// Longest limits the longer side after resizing, so that the shorter side may become less than Resize. 0:
	// no limit.
	Longest int `json:"longest,omitempty"`
	// Cut says how the central crop is placed if the margin is odd: empty, half a pixel is rounded to even as
	// in torchvision; "floor", as in transformers. With "none" nothing is cropped, and an image that is not
	// Size x Size after resizing is an error. If the image is smaller than Size, it is padded with black.
	Cut string `json:"cut,omitempty"`
	// Interpolation is one of "bilinear", "bicubic", "box", "hamming" and "lanczos".
	Interpolation string `json:"interpolation"`
	// Resampling selects whose arithmetic resizes 8-bit images: empty for Pillow; "torchvision" for
	// torchvision's on byte tensors, whose weights have 15 bits; "float" to avoid rounding to bytes.
	Resampling string `json:"resampling,omitempty"`
	// Mean and Std normalise the red, green and blue channels, whose samples are scaled to [0, 1] first.
	Mean [3]float32 `json:"mean"`
	Std  [3]float32 `json:"std"`
	// HorizontalFirst always resizes in width first, the order of Pillow before version 13. The present order
	// differs for images that shrink much more in height than in width, by single levels in some samples.
	HorizontalFirst bool `json:"horizontal_first,omitempty"`
	// Depth selects the white level of images with more than 8 bits: [DepthStored], the default, means 65535;
	// [DepthMaximum] the largest sample of each image; "bits=12" means 4095, and larger samples are an error.
	// Many cameras and X-ray detectors store 12 bits in 16-bit files without recording that.
	Depth string `json:"depth,omitempty"`
	// Window selects the grey values of DICOM objects. Empty: the object's own VOI LUT, else its first window,
	// else the range of the image. "CENTER,WIDTH": in units after the modality LUT. The explanation of one of
	// the object's windows, or "#2" for the second. "full": all values that the stored bits can represent.
	// "range": the range of the image. It does not apply to other formats.
	Window string `json:"window,omitempty"`
}

// Non-empty values of [Recipe.Fit], [Recipe.Cut] and [Recipe.Resampling].
const (
	FitSquash = "squash"
	FitNone   = "none"

	CutFloor = "floor"
	CutNone  = "none"

	ResampleTorchvision = "torchvision"
	ResampleFloat       = "float"
)

// maxSide limits Size, Resize and Longest, because a recipe may come from a file.
const maxSide = 8192

// Validate returns an error that names the first invalid field.
func (r Recipe) Validate() error {
	if r.Size < 1 || r.Size > maxSide {
		return errorf("recipe: size %d: expected 1 to %d", r.Size, maxSide)
	}
	if err := r.validateGeometry(); err != nil {
		return err
	}
	if filterByName(r.Interpolation) == nil {
		return errorf("recipe: interpolation %q: expected %s, %s, %s, %s or %s",
			r.Interpolation, Bilinear, Bicubic, Box, Hamming, Lanczos)
	}
	if _, err := depthWhite(r.Depth); err != nil {
		return errorf("recipe: %w", err)
	}
	if _, err := pixel.ParseWindow(r.Window); err != nil {
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

// validateGeometry checks the combination of Fit, Resize, Longest, Cut and Resampling.
func (r Recipe) validateGeometry() error {
	switch {
	case r.Fit != "" && r.Fit != FitSquash && r.Fit != FitNone:
		return errorf("recipe: fit %q: expected nothing, %s or %s", r.Fit, FitSquash, FitNone)
	case r.Cut != "" && r.Cut != CutFloor && r.Cut != CutNone:
		return errorf("recipe: cut %q: expected nothing, %s or %s", r.Cut, CutFloor, CutNone)
	case r.Resampling != "" && r.Resampling != ResampleTorchvision && r.Resampling != ResampleFloat:
		return errorf("recipe: resampling %q: expected nothing, %s or %s", r.Resampling, ResampleTorchvision, ResampleFloat)
	case r.Resize < 0 || r.Resize > maxSide:
		return errorf("recipe: resize %d: expected 0 to %d", r.Resize, maxSide)
	case r.Fit == FitSquash && r.Resize == 0 || r.Fit == FitNone && r.Resize != 0:
		return errorf("recipe: resize %d with fit %q: expected a side for squash, and 0 for none", r.Resize, r.Fit)
	case r.Longest < 0 || r.Longest > maxSide || r.Longest != 0 && (r.Fit != "" || r.Longest < r.Resize || r.Resize == 0):
		return errorf("recipe: longest %d: expected 0, or %d (resize) to %d, without fit", r.Longest, max(r.Resize, 1), maxSide)
	}
	return nil
}

// Decoding returns the options for decoding images for this recipe, with the given limits.
func (r Recipe) Decoding(lim Limits) Options { return Options{Limits: lim, Window: r.Window} }

// Values returns the length of the input tensor: 3 x Size x Size.
func (r Recipe) Values() int { return 3 * r.Size * r.Size }

// scratches is for Apply. Callers that loop over images keep a Scratch per goroutine.
var scratches = sync.Pool{New: func() any { return new(Scratch) }}

// Apply writes the image as a CHW tensor of 3 x Size x Size values: the result of torchvision's Resize,
// CenterCrop, ToTensor and Normalize on Pillow images. Grey images fill the three channels; 16-bit samples are
// divided by 65535, or as Depth says. It is safe for concurrent use.
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
	img, err := img.Through(r.Window)
	if err != nil {
		return err
	}
	fits := img.W == r.Size && img.H == r.Size && (r.Resize == 0 || r.Resize == r.Size && r.Longest == 0)
	if fits && (r.Depth == DepthStored && !img.Source.Unscaled || img.Bits == 8) {
		return r.Normalize(img, dst)
	}
	if err := s.fitted(r, img, &s.fit); err != nil {
		return err
	}
	return r.Normalize(&s.fit, dst)
}

// Fit is the first half of the recipe: it resizes and crops img to Size x Size and writes it to dst, whose
// buffers are reused. If Depth requires it, samples are stretched to their full range.
func (s *Scratch) Fit(r Recipe, img, dst *Image) error {
	if err := r.Validate(); err != nil {
		return err
	}
	img, err := img.Through(r.Window)
	if err != nil {
		return err
	}
	return s.fitted(r, img, dst)
}

// fitted is Fit for a validated recipe and an image rendered through its window.
func (s *Scratch) fitted(r Recipe, img, dst *Image) error {
	if err := img.check(); err != nil {
		return err
	}
	white, err := r.white(img)
	if err != nil {
		return err
	}
	win, err := r.window(img.W, img.H)
	if err != nil {
		return err
	}
	source := img.Source
	how := resampling{r.Interpolation, r.HorizontalFirst, r.Resampling == ResampleTorchvision}
	if how.narrow {
		how.horizontalFirst = true
	}
	if r.Resampling == ResampleFloat && img.Bits == 8 && (win.fullW != img.W || win.fullH != img.H) {
		img, white = s.widened(img), math.MaxUint16
	}
	if win.w == r.Size && win.h == r.Size {
		s.resample(dst, img, win, how)
	} else {
		s.resample(&s.part, img, win, how)
		dst.surround(&s.part, r.Size)
	}
	dst.Source = source
	stretch(dst, white)
	return nil
}

// widened returns img with 16 bits per sample, whose rounding errors are insignificant for a model.
func (s *Scratch) widened(img *Image) *Image {
	s.wide.reshape(img.W, img.H, img.C, 16)
	for i, v := range img.Pix8 {
		s.wide.Pix16[i] = uint16(v) * 257
	}
	return &s.wide
}

// surround places img, at most side x side, in the middle of a black square.
func (m *Image) surround(img *Image, side int) {
	m.reshape(side, side, img.C, img.Bits)
	clear(m.Pix8)
	clear(m.Pix16)
	x, y, n := (side-img.W)/2, (side-img.H)/2, img.W*img.C
	for row := range img.H {
		at, from := ((y+row)*side+x)*img.C, row*n
		if img.Bits == 16 {
			copy(m.Pix16[at:], img.Pix16[from:from+n])
		} else {
			copy(m.Pix8[at:], img.Pix8[from:from+n])
		}
	}
}

// Resize resizes img to w x h into dst, whose buffers are reused, like the present Pillow's Image.resize.
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
	s.resample(dst, img, window{w, h, 0, 0, w, h}, resampling{interpolation: interpolation})
	return nil
}

// window returns the requested part of the resized image: at most Size x Size pixels.
func (r Recipe) window(w, h int) (window, error) {
	fw, fh := r.resized(w, h)
	win := window{fullW: fw, fullH: fh}
	if r.Cut == CutNone && (fw != r.Size || fh != r.Size) {
		return win, errorf("recipe: the image has %d x %d pixels, %d x %d after resizing: expected %d x %d, since the recipe cuts nothing",
			w, h, fw, fh, r.Size, r.Size)
	}
	win.x, win.w = r.middle(fw)
	win.y, win.h = r.middle(fh)
	return win, nil
}

// resized returns the size to which an image of w x h pixels is resized. If the aspect ratio is kept, the
// longer side becomes int(n*long/short), as in torchvision and transformers.
func (r Recipe) resized(w, h int) (fw, fh int) {
	switch {
	case r.Fit == FitNone:
		return w, h
	case r.Fit == FitSquash:
		return r.Resize, r.Resize
	case r.Resize == 0:
		return r.Size, r.Size
	}
	short, long := min(w, h), max(w, h)
	n, m := r.Resize, int(int64(r.Resize)*int64(long)/int64(short))
	if exact := float64(r.Longest) * float64(short) / float64(long); r.Longest > 0 && float64(long)/float64(short)*float64(n) > float64(r.Longest) {
		n, m = max(int(math.RoundToEven(exact)), 1), max(int(exact*float64(long)/float64(short)), 1)
	}
	if w <= h {
		return n, m
	}
	return m, n
}

// middle returns the first pixel of a side that is kept, and the number of pixels.
func (r Recipe) middle(full int) (first, n int) {
	switch {
	case full <= r.Size:
		return 0, full
	case r.Cut == CutFloor:
		return (full - r.Size) / 2, r.Size
	}
	return int(math.RoundToEven(float64(full-r.Size) / 2)), r.Size
}

// Normalize is the second half of the recipe, for an image from [Scratch.Fit], or one that is Size x Size and
// of full range: (sample/max - mean) / std in float32, channel by channel.
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
