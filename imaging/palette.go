package imaging

// palette holds the colours of an indexed image.
type palette struct {
	colours [256][3]uint8
	grey    bool // all colours are grey
}

// newPalette reads red, green, blue triples. Missing entries are black.
func newPalette(rgb []byte) *palette {
	p := &palette{grey: true}
	for i := range min(len(rgb)/3, 256) {
		c := rgb[3*i : 3*i+3]
		p.set(i, c[0], c[1], c[2])
	}
	return p
}

func (p *palette) set(i int, r, g, b uint8) {
	p.colours[i] = [3]uint8{r, g, b}
	p.grey = p.grey && r == g && r == b
}

// channels returns the channels of images with the palette: 1 if it contains only greys.
func (p *palette) channels() int {
	if p.grey {
		return 1
	}
	return 3
}

// image converts w x h indices to an image.
func (p *palette) image(index []uint8, w, h int) *Image {
	dst := newImage(w, h, p.channels(), 8)
	p.look(dst.Pix8, index)
	return dst
}

// look converts indices to samples.
func (p *palette) look(dst, index []uint8) {
	if p.grey {
		for i, v := range index {
			dst[i] = p.colours[v][0]
		}
		return
	}
	for i, v := range index {
		c := &p.colours[v]
		o := dst[3*i : 3*i+3 : 3*i+3]
		o[0], o[1], o[2] = c[0], c[1], c[2]
	}
}
