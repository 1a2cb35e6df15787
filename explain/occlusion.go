package explain

// occlude computes answers and maps by [Occlusion]: the value of a patch is the mean decrease over the windows
// that cover it.
func (e *Explainer) occlude(b *batch) error {
	grid, classes, each := e.Grid(), e.Classes(), len(b.inputs)/b.n
	var err error
	if b.Logits, err = e.answers(b.inputs, b.n); err != nil {
		return err
	}
	e.keep(b)
	scores, err := b.scores(classes)
	if err != nil {
		return err
	}
	at := e.windows()
	for i, s := range scores {
		lost, err := e.losses(b.inputs[i*each:(i+1)*each], at, s, s.of(b.Logits[i*classes:(i+1)*classes]))
		if err != nil {
			return err
		}
		sum, count := make([]float64, grid*grid), make([]float64, grid*grid)
		for j, w := range at {
			e.cover(w, func(p int) {
				sum[p] += float64(lost[j])
				count[p]++
			})
		}
		for p := range sum {
			b.Maps = append(b.Maps, float32(sum[p]/count[p]))
		}
	}
	return nil
}

// place is the upper left patch of a window.
type place struct{ row, column int }

// windows lists the positions of the window. The last ones of a row or column may extend beyond the image.
func (e *Explainer) windows() []place {
	var first []int
	for at := 0; ; at += e.options.Stride {
		first = append(first, at)
		if at+e.options.Window >= e.Grid() {
			break
		}
	}
	var all []place
	for _, r := range first {
		for _, c := range first {
			all = append(all, place{r, c})
		}
	}
	return all
}

// cover calls use with the index of each patch in a window.
func (e *Explainer) cover(w place, use func(patch int)) {
	grid := e.Grid()
	for r := w.row; r < min(w.row+e.options.Window, grid); r++ {
		for c := w.column; c < min(w.column+e.options.Window, grid); c++ {
			use(r*grid + c)
		}
	}
}

// losses returns the decrease of an image's score for each window.
func (e *Explainer) losses(image []float32, at []place, s Score, whole float32) ([]float32, error) {
	c, colour := &e.subject.Model.Config, meanColour(image)
	out := make([]float32, 0, len(at))
	covered := make([]float32, min(len(at), e.options.Batch)*len(image))
	for len(at) > 0 {
		n := min(len(at), e.options.Batch)
		for i, w := range at[:n] {
			dst := covered[i*len(image) : (i+1)*len(image)]
			copy(dst, image)
			e.cover(w, func(p int) { FillPatch(dst, c.Image, c.Patch, p, colour) })
		}
		logits, err := e.answers(covered[:n*len(image)], n)
		if err != nil {
			return nil, err
		}
		k := e.Classes()
		for i := range n {
			out = append(out, whole-s.of(logits[i*k:(i+1)*k]))
		}
		at = at[n:]
	}
	return out, nil
}

// meanColour returns the mean of each channel of an input [3, side, side].
func meanColour(image []float32) (colour [3]float32) {
	n := len(image) / 3
	for c := range colour {
		sum := 0.0
		for _, v := range image[c*n : (c+1)*n] {
			sum += float64(v)
		}
		colour[c] = float32(sum / float64(n))
	}
	return colour
}

// FillPatch fills a patch of an input [3, side, side] with a colour. Patches are numbered row by row.
func FillPatch(input []float32, side, patch, number int, colour [3]float32) {
	grid := side / patch
	top, left := number/grid*patch, number%grid*patch
	for c, v := range colour {
		for y := top; y < top+patch; y++ {
			row := input[(c*side+y)*side+left:][:patch]
			for x := range row {
				row[x] = v
			}
		}
	}
}
