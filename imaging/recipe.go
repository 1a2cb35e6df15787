package imaging

import (
	"math"
	"sync"

	"melo.example/melo/dicom/pixel"
)

// Recipe says how an image becomes the input of a model. It comes from the configuration of the base
// model and is stored in every adapter, so that nobody has to type it at inference.
type Recipe struct {
	// Size is the side of the square input, in pixels.
	Size int `json:"size"`
	// Resize is the length that the shorter side is resized to, keeping the aspect ratio, before the
	// central Size x Size pixels are cut out; 0 squashes the whole image to Size x Size. Fit changes this.
	Resize int `json:"resize,omitempty"`
	// Fit is empty, or "squash": the whole image becomes Resize x Resize before the crop; or "none": the image
	// keeps its size, and Resize is 0.
	Fit string `json:"fit,omitempty"`
	// Longest bounds the longer side after resizing, 0: nothing does. Then the shorter side may become less than Resize.
	Longest int `json:"longest,omitempty"`
	// Cut is how the central pixels are found where the margin is odd: empty, half a pixel rounded to even, as
	// torchvision does; "floor", as transformers does; or "none": nothing is cut, and an image that is not Size x Size
	// after resizing is refused. Where the image is smaller than Size, black surrounds it.
	Cut string `json:"cut,omitempty"`
	// Interpolation is one of "bilinear", "bicubic", "box", "hamming" and "lanczos".
	Interpolation string `json:"interpolation"`
	// Resampling is whose arithmetic resizes 8-bit images: empty, Pillow's; "torchvision", that of torchvision on tensors
	// of bytes, whose weights have 15 bits; "float", without rounding to bytes.
	Resampling string `json:"resampling,omitempty"`
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
	// Window says how grey values of DICOM objects are chosen: empty, by the object's own VOI LUT, else its first window,
	// else the range of the image; "CENTER,WIDTH" in units after the modality LUT; the explanation of one of the object's
	// windows, or "#2" for the second; "full", all values that the stored bits can hold; "range". Other formats have none.
	Window string `json:"window,omitempty"`
}

// The values of [Recipe.Fit], [Recipe.Cut] and [Recipe.Resampling] beside the empty ones.
const (
	FitSquash = "squash"
	FitNone   = "none"

	CutFloor = "floor"
	CutNone  = "none"

	ResampleTorchvision = "torchvision"
	ResampleFloat       = "float"
)

// maxSide bounds Size, Resize and Longest: a recipe may come from a file.
const maxSide = 8192

// Validate reports the first field that makes no sense.
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

// validateGeometry checks what Fit, Resize, Longest, Cut and Resampling say together.
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

// Decoding returns the options with which images for this recipe are decoded, under the limits.
func (r Recipe) Decoding(lim Limits) Options { return Options{Limits: lim, Window: r.Window} }

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
	img, err := img.through(r.Window)
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

// Fit is the first half of the recipe: img resized and cropped to Size x Size into dst, whose buffers are
// reused, with its samples stretched to their full range where Depth asks for it.
func (s *Scratch) Fit(r Recipe, img, dst *Image) error {
	if err := r.Validate(); err != nil {
		return err
	}
	img, err := img.through(r.Window)
	if err != nil {
		return err
	}
	return s.fitted(r, img, dst)
}

// fitted is Fit by a recipe that was checked, of an image that is seen through its window.
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

// widened returns img with 16 bits a sample, whose rounding is far below what a model can tell.
func (s *Scratch) widened(img *Image) *Image {
	s.wide.reshape(img.W, img.H, img.C, 16)
	for i, v := range img.Pix8 {
		s.wide.Pix16[i] = uint16(v) * 257
	}
	return &s.wide
}

// surround puts img, at most side x side, into the middle of a black square.
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
	s.resample(dst, img, window{w, h, 0, 0, w, h}, resampling{interpolation: interpolation})
	return nil
}

// window says what of the resized image is wanted: at most Size x Size pixels of it.
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

// resized is the size that an image of w x h pixels is resized to. Keeping the aspect, the longer side becomes
// int(n*long/short), as torchvision and transformers have it.
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

// middle returns the first of the pixels that are kept of a side, and their number.
func (r Recipe) middle(full int) (first, n int) {
	switch {
	case full <= r.Size:
		return 0, full
	case r.Cut == CutFloor:
		return (full - r.Size) / 2, r.Size
	}
	return int(math.RoundToEven(float64(full-r.Size) / 2)), r.Size
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
