// Package imaging converts the bytes of an image file to the input tensor of a vision transformer.
//
// It reproduces the values of Pillow and torchvision, because every published checkpoint was trained with them:
// [Decode] returns pixels (PNG, JPEG, GIF, BMP, TIFF, WebP, PNM, DICOM), a [Recipe] describes how they become a
// square, normalised input, and [Recipe.Apply] applies it. Resizing equals Pillow's sample for sample; JPEG
// colour follows libjpeg (triangle chroma upsampling, integer YCC to RGB).
//
// Alpha is dropped and the stored colours are kept, as in Pillow's convert("RGB"). Depths above 8 bits are kept
// until normalisation, where Pillow would clip or truncate them. EXIF orientation is applied.
//
// Input is not trusted: sizes are checked against [Limits] and against what the file could encode at most
// before memory is allocated in proportion to them.
package imaging

// Image holds decoded pixels in row-major order from the top left, with interleaved channels.
type Image struct {
	W, H int // width and height in pixels, both at least 1
	C    int // channels: 1 (grey) or 3 (RGB)
	Bits int // bits per sample: 8 or 16

	Pix8  []uint8  // W*H*C samples when Bits is 8, else nil
	Pix16 []uint16 // W*H*C samples when Bits is 16, else nil

	again func(window string) (*Image, error) // decodes the image through another window; nil if it has no windows

	// Source describes the file that the image was decoded from; zero if there was none.
	Source Info
}

// Through returns the image as it is seen through a window: itself, unless it is a DICOM object that was decoded through
// another.
func (m *Image) Through(window string) (*Image, error) {
	switch {
	case m == nil || m.Source.Format != formatDICOM || m.C != 1 || m.Source.Window == window:
		return m, nil
	case m.again == nil:
		return nil, errorf("the image was decoded through the window %q, the recipe's is %q", m.Source.Window, window)
	}
	img, err := m.again(window)
	if err != nil {
		return nil, err
	}
	img.Source = m.Source
	img.Source.Window = window
	return img, nil
}

// Max returns the largest sample. It distinguishes 12-bit samples in 16 bits from 16-bit samples, which most
// files do not record.
func (m *Image) Max() uint16 {
	most := uint16(0)
	if m.Bits == 16 {
		for _, v := range m.Pix16 {
			most = max(most, v)
		}
		return most
	}
	most8 := uint8(0)
	for _, v := range m.Pix8 {
		most8 = max(most8, v)
	}
	return uint16(most8)
}

// newImage allocates a black image.
func newImage(w, h, c, bits int) *Image {
	m := &Image{}
	m.reshape(w, h, c, bits)
	return m
}

// reshape sets the geometry and provides space for the samples, reusing the buffers if they are large enough.
// The samples are then undefined.
func (m *Image) reshape(w, h, c, bits int) {
	m.W, m.H, m.C, m.Bits = w, h, c, bits
	n := w * h * c
	if bits == 16 {
		m.Pix16 = resized(m.Pix16, n)
		m.Pix8 = m.Pix8[:0]
		return
	}
	m.Pix8 = resized(m.Pix8, n)
	m.Pix16 = m.Pix16[:0]
}

// check returns an error unless the fields of m are consistent.
func (m *Image) check() error {
	if m == nil || m.W < 1 || m.H < 1 {
		return errorf("image: empty")
	}
	if m.C != 1 && m.C != 3 {
		return errorf("image: %d channels, expected 1 or 3", m.C)
	}
	n := len(m.Pix8)
	switch m.Bits {
	case 8:
	case 16:
		n = len(m.Pix16)
	default:
		return errorf("image: %d bits per sample, expected 8 or 16", m.Bits)
	}
	if n != m.W*m.H*m.C {
		return errorf("image: %d samples, expected %d x %d x %d", n, m.W, m.H, m.C)
	}
	return nil
}

// Bytes returns the memory of the samples of m in bytes.
func (m *Image) Bytes() int64 {
	return int64(cap(m.Pix8)) + 2*int64(cap(m.Pix16))
}

// Clone returns a copy of m with buffers of exactly the size needed.
func (m *Image) Clone() *Image {
	c := *m
	c.Pix8, c.Pix16 = nil, nil
	if m.Bits == 16 {
		c.Pix16 = append(make([]uint16, 0, len(m.Pix16)), m.Pix16...)
	} else {
		c.Pix8 = append(make([]uint8, 0, len(m.Pix8)), m.Pix8...)
	}
	return &c
}

// resized returns a slice of n elements, reusing s if its capacity suffices.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
