package melo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"melo.example/melo/explain"
	"melo.example/melo/explain/overlay"
	"melo.example/melo/explain/shortcut"
	"melo.example/melo/imaging"
)

// Shortcuts are what a search for shortcuts found: how much of an adapter's maps lies on borders, corners and marks, and what covering
// them changes.
type Shortcuts struct {
	shortcut.Findings
	labels []string
	means  []*imaging.Image // of the inputs that were answered with each label, 8 bits; nil: none
}

// Shortcuts looks at the answers for images 0 to n-1, each at the cost of some fifteen predictions, and says whether they come from
// places where no finding is expected: whether the adapter reads a letter, say. A nil adapter is the base's own head.
func (b *Base) Shortcuts(ctx context.Context, a *Adapter, n int, image func(ctx context.Context, i int) (*imaging.Image, error)) (*Shortcuts, error) {
	if image == nil {
		return nil, errors.New("melo: Shortcuts needs a function that reads images; got nil")
	}
	a, err := b.attached(a)
	if err != nil {
		return nil, err
	}
	run, err := b.newExplaining(a, ExplainOptions{})
	if err != nil {
		return nil, err
	}
	grid := run.explainer.Grid()
	search := shortcut.NewSearch(len(a.labels), grid)
	sums, counts := make([][]float64, len(a.labels)), make([]int, len(a.labels))
	for i := range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x, err := run.one(func() (*imaging.Image, error) { return image(ctx, i) })
		if err != nil {
			return nil, err
		}
		zones, err := shortcut.Zones(x.shown, x.Map.Region, grid)
		if err != nil {
			return nil, err
		}
		label := slices.Index(a.labels, x.Label)
		var failed error
		err = search.Add(shortcut.Image{Label: label, Map: x.Map.Values, Zones: zones, Cover: func(lists ...[]int) []float64 {
			var p []float64
			p, failed = b.covered(a, run.pixels, grid, label, lists)
			return p
		}})
		if err := errors.Join(err, failed); err != nil {
			return nil, err
		}
		if sums[label] == nil {
			sums[label] = make([]float64, a.recipe.Size*a.recipe.Size)
		}
		addGrey(sums[label], run.pixels)
		counts[label]++
	}
	s := &Shortcuts{Findings: *search.Findings(a.labels, string(explain.Default)), labels: a.labels, means: make([]*imaging.Image, len(a.labels))}
	for l, sum := range sums {
		if counts[l] > 0 {
			s.means[l] = greyImage(sum, a.recipe.Size)
		}
	}
	return s, nil
}

// covered returns how probable a label is for an input of which each list of patches is covered with the input's mean colour.
func (b *Base) covered(a *Adapter, pixels []float32, grid, label int, lists [][]int) ([]float64, error) {
	side := a.recipe.Size
	patch := side / grid
	plane := side * side
	var mean [3]float32
	for c := range mean {
		sum := 0.0
		for _, v := range pixels[c*plane : (c+1)*plane] {
			sum += float64(v)
		}
		mean[c] = float32(sum / float64(plane))
	}
	out := make([]float64, 0, len(lists))
	for some := range slices.Chunk(lists, b.batch) {
		all := make([]float32, 0, len(some)*len(pixels))
		for _, list := range some {
			all = append(all, pixels...)
			one := all[len(all)-len(pixels):]
			for _, p := range list {
				for c := range mean {
					for y := p / grid * patch; y < (p/grid+1)*patch; y++ {
						row := one[c*plane+y*side+p%grid*patch:]
						for x := range patch {
							row[x] = mean[c]
						}
					}
				}
			}
		}
		answers, err := b.answer(a, all, len(some))
		if err != nil {
			return make([]float64, len(lists)), err
		}
		for _, x := range answers {
			if x.err != nil {
				return make([]float64, len(lists)), x.err
			}
			out = append(out, x.prediction.Probabilities[label])
		}
	}
	return out, nil
}

// addGrey adds the brightness of an input [3, side, side].
func addGrey(sum []float64, pixels []float32) {
	for i := range sum {
		for c := range 3 {
			sum[i] += float64(pixels[c*len(sum)+i])
		}
	}
}

// greyImage shows numbers from the least, black, to the greatest, white.
func greyImage(v []float64, side int) *imaging.Image {
	low, high := slices.Min(v), slices.Max(v)
	img := &imaging.Image{W: side, H: side, C: 1, Bits: 8, Pix8: make([]uint8, len(v))}
	for i, x := range v {
		if high > low {
			img.Pix8[i] = uint8(255*(x-low)/(high-low) + 0.5)
		}
	}
	return img
}

// mean is the mean map of the answers with label l; nil if there were none.
func (s *Shortcuts) mean(l int) *overlay.Map {
	if l < 0 || l >= len(s.means) || s.means[l] == nil {
		return nil
	}
	m := &overlay.Map{Grid: s.Grid, Region: imaging.Region{W: float64(s.means[l].W), H: float64(s.means[l].H)}}
	for _, v := range s.Mean[l] {
		m.Values = append(m.Values, float32(v))
	}
	return m
}

// WritePNG writes the mean map of the answers with label number l over the mean of their inputs. It writes nothing, and returns false, if
// there were none.
func (s *Shortcuts) WritePNG(w io.Writer, l int, notes ...string) (bool, error) {
	m := s.mean(l)
	if m == nil {
		return false, nil
	}
	text := overlay.Text{Title: s.labels[l], Notes: append([]string{"mean map of the answers with this label, over their mean image"}, notes...),
		Footer: "Research use only. Not a medical device."}
	return true, overlay.WritePNG(w, s.means[l], m, text)
}

// Shortcuts is what an experiment.Explainer does. The images are mean maps over mean inputs, one a label; nil where there was no answer.
func (p predictor) Shortcuts(ctx context.Context, n int, image func(ctx context.Context, i int) (*imaging.Image, error)) (*shortcut.Findings, []*imaging.Image, error) {
	s, err := p.base.Shortcuts(ctx, p.Adapter, n, image)
	if err != nil {
		return nil, nil, err
	}
	shown := make([]*imaging.Image, len(s.means))
	for l := range shown {
		m := s.mean(l)
		if m == nil {
			continue
		}
		if shown[l], err = overlay.Over(s.means[l], m, max(s.means[l].W, 1)); err != nil {
			return nil, nil, fmt.Errorf("melo: %w", err)
		}
	}
	return &s.Findings, shown, nil
}
