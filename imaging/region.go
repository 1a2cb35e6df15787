package imaging

import "math"

// Region is a rectangle in pixel coordinates of an image. It may extend beyond the image.
type Region struct{ X, Y, W, H float64 }

// Region returns the part of an image of w x h pixels from which the recipe makes the input: the Size x Size
// pixels of the input cover it evenly. What is outside is cropped; where the region extends beyond the image,
// the input is black.
func (r Recipe) Region(w, h int) (Region, error) {
	if w < 1 || h < 1 {
		return Region{}, errorf("region: an image of %d x %d pixels", w, h)
	}
	if err := r.Validate(); err != nil {
		return Region{}, err
	}
	win, err := r.window(w, h)
	if err != nil {
		return Region{}, err
	}
	sx, sy := float64(w)/float64(win.fullW), float64(h)/float64(win.fullH)
	left, top := win.x-(r.Size-win.w)/2, win.y-(r.Size-win.h)/2
	return Region{X: float64(left) * sx, Y: float64(top) * sy, W: float64(r.Size) * sx, H: float64(r.Size) * sy}, nil
}

// Shown returns the image in its own size as the recipe sees it: rendered through its window, with its white
// level, in 8 bits per sample. It may share memory with img.
func (r Recipe) Shown(img *Image) (*Image, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	img, err := img.Through(r.Window)
	if err != nil {
		return nil, err
	}
	if err := img.check(); err != nil {
		return nil, err
	}
	if img.Bits == 8 {
		return img, nil
	}
	white, err := r.white(img)
	if err != nil {
		return nil, err
	}
	shown := newImage(img.W, img.H, img.C, 8)
	for i, v := range img.Pix16 {
		shown.Pix8[i] = uint8(math.Round(min(float64(v)/float64(white), 1) * math.MaxUint8))
	}
	shown.Source = img.Source
	return shown, nil
}
