package pretrain

import (
	"math"

	"melo.example/melo/internal/formula"
)

// A describer computes what a backbone learns to tell of an image: measured on the clean image, on a grid of patches
// (local) and over all of it (global). It has scratch memory: not safe for concurrent use.
type describer struct {
	side, patch, grid int
	luma              [levels][]float32 // brightness, and three times halved
	chroma            [2][]float32
	energy            [levels][]float32 // [patch, quarter, bins] at level 0, [patch, bins] above
	rows              []float32         // [patches, summaries]
}

const (
	levels = 4 // of the pyramid
	bins   = 10
	turns  = 8 // directions of edges; the other two bins are bright and dark spots
	// local: quarters of level 0, whole patches above, mean and spread of three channels, means of the quarters
	localSize = (4*turns + 2) + (levels-1)*bins + 6 + 4
	summaries = levels*bins + 6
	regions   = 3 // a side
	perRegion = levels + 3
	tones     = 12 // bins of the histogram of brightness
)

func newDescriber(side, patch int) *describer {
	d := &describer{side: side, patch: patch, grid: side / patch}
	n := side
	for l := range levels {
		d.luma[l] = make([]float32, n*n)
		n /= 2
	}
	d.chroma = [2][]float32{make([]float32, side*side), make([]float32, side*side)}
	patches := d.grid * d.grid
	d.energy[0] = make([]float32, patches*4*bins)
	for l := 1; l < levels; l++ {
		d.energy[l] = make([]float32, patches*bins)
	}
	d.rows = make([]float32, patches*summaries)
	return d
}

// globalSize is how many numbers describe an image.
func (d *describer) globalSize() int {
	return 3*summaries + regions*regions*perRegion + d.grid*d.grid + tones + formula.Facts
}

// describe writes what is told of pix [3, side, side]: global [globalSize], without the facts, which the caller puts at
// its end, and local [patches, localSize].
func (d *describer) describe(global, local, pix []float32) {
	d.channels(pix)
	for l := range levels {
		d.edges(l)
	}
	for p := range d.grid * d.grid {
		d.one(local[p*localSize:(p+1)*localSize], d.rows[p*summaries:(p+1)*summaries], p)
	}
	d.whole(global)
}

// channels computes brightness, its pyramid, and two differences of colours.
func (d *describer) channels(pix []float32) {
	n := d.side * d.side
	r, g, b := pix[:n], pix[n:2*n], pix[2*n:3*n]
	for i := range n {
		y := 0.3*r[i] + 0.6*g[i] + 0.1*b[i]
		d.luma[0][i], d.chroma[0][i], d.chroma[1][i] = y, r[i]-y, b[i]-y
	}
	s := d.side
	for l := 1; l < levels; l++ {
		from, to := d.luma[l-1], d.luma[l]
		half := s / 2
		for y := range half {
			a, b := from[2*y*s:], from[(2*y+1)*s:]
			for x := range half {
				to[y*half+x] = 0.25 * (a[2*x] + a[2*x+1] + b[2*x] + b[2*x+1])
			}
		}
		s = half
	}
}

// edges sums the strength of edges by direction, and of spots, over the cells of a level.
func (d *describer) edges(l int) {
	s := d.side >> l
	cell := d.patch >> l
	if l == 0 {
		cell /= 2
	}
	luma, sums := d.luma[l], d.energy[l]
	clear(sums)
	share := 1 / float32(cell*cell)
	for y := range s {
		up, at, down := luma[max(y-1, 0)*s:][:s], luma[y*s:][:s], luma[min(y+1, s-1)*s:][:s]
		for x := range s {
			left, right := at[max(x-1, 0)], at[min(x+1, s-1)]
			gx, gy := right-left, down[x]-up[x]
			spot := left + right + up[x] + down[x] - 4*at[x]
			e := sums[d.cell(l, y/cell, x/cell)*bins:][:bins]
			if m := gx*gx + gy*gy; m > 1e-10 {
				k, t := turn(gx, gy)
				m = share * float32(math.Sqrt(float64(m)))
				e[k] += m * (1 - t)
				e[(k+1)%turns] += m * t
			}
			if spot > 0 {
				e[turns] += share * spot
			} else {
				e[turns+1] -= share * spot
			}
		}
	}
}

// cell is the number of a cell: of a patch, or, at level 0, of the quarter of one.
func (d *describer) cell(l, y, x int) int {
	if l > 0 {
		return y*d.grid + x
	}
	return ((y/2)*d.grid+x/2)*4 + y%2*2 + x%2
}

// turn is the direction of a gradient, up to its sign: one of eight, and how far it is on the way to the next.
func turn(x, y float32) (int, float32) {
	if y < 0 {
		x, y = -x, -y
	}
	ax := max(x, -x)
	t := min(ax, y) / max(ax, y)
	a := t * (1.0584 - 0.273*t) // about atan(t)
	if y > ax {
		a = math.Pi/2 - a
	}
	if x < 0 {
		a = math.Pi - a
	}
	a *= turns / math.Pi
	k := int(a)
	return k % turns, a - float32(k)
}

// logOf compresses a strength.
func logOf(v float32) float32 { return float32(math.Log(float64(v) + 0.004)) }

// one describes patch p, for itself and for the whole.
func (d *describer) one(local, row []float32, p int) {
	at := 0
	put := func(v float32) { local[at] = v; at++ }
	var fine [bins]float32
	quarters := d.energy[0][p*4*bins:][:4*bins]
	for q := range 4 {
		for k, v := range quarters[q*bins:][:bins] {
			fine[k] += v / 4
			if k < turns {
				put(logOf(v))
			}
		}
	}
	put(logOf(fine[turns]))
	put(logOf(fine[turns+1]))
	for k, v := range fine {
		row[k] = logOf(v)
	}
	for l := 1; l < levels; l++ {
		for k, v := range d.energy[l][p*bins:][:bins] {
			v = logOf(v)
			put(v)
			row[l*bins+k] = v
		}
	}
	var quarter [4]float32
	for c, plane := range [3][]float32{d.luma[0], d.chroma[0], d.chroma[1]} {
		mean, spread := d.moments(plane, p, &quarter)
		put(mean)
		put(spread)
		row[levels*bins+2*c], row[levels*bins+2*c+1] = mean, spread
		if c == 0 {
			defer func(q [4]float32) {
				for _, v := range q {
					put(v - mean)
				}
			}(quarter)
		}
	}
}

// moments returns mean and spread of a patch, and the means of its quarters.
func (d *describer) moments(plane []float32, p int, quarter *[4]float32) (mean, spread float32) {
	half := d.patch / 2
	*quarter = [4]float32{}
	var squares float32
	for y := range d.patch {
		row := plane[((p/d.grid)*d.patch+y)*d.side+(p%d.grid)*d.patch:][:d.patch]
		for x, v := range row {
			quarter[y/half*2+x/half] += v
			squares += v * v
		}
	}
	for q := range quarter {
		mean += quarter[q]
		quarter[q] /= float32(half * half)
	}
	n := float32(d.patch * d.patch)
	mean /= n
	return mean, float32(math.Log(math.Sqrt(float64(max(squares/n-mean*mean, 0))) + 0.01))
}

// whole describes the image by its patches.
func (d *describer) whole(global []float32) {
	patches := d.grid * d.grid
	for k := range summaries {
		var sum, squares float32
		most := d.rows[k]
		for p := range patches {
			v := d.rows[p*summaries+k]
			sum, squares, most = sum+v, squares+v*v, max(most, v)
		}
		mean := sum / float32(patches)
		global[k], global[summaries+k] = mean, float32(math.Sqrt(float64(max(squares/float32(patches)-mean*mean, 0))))
		global[2*summaries+k] = most
	}
	rest := global[3*summaries:]
	d.layout(rest[:regions*regions*perRegion])
	rest = rest[regions*regions*perRegion:]
	for p := range patches {
		rest[p] = d.rows[p*summaries+levels*bins]
	}
	d.histogram(rest[patches:][:tones])
}

// layout writes the means of a few numbers over regions of the image.
func (d *describer) layout(dst []float32) {
	clear(dst)
	var n [regions * regions]float32
	for p := range d.grid * d.grid {
		r := p/d.grid*regions/d.grid*regions + p%d.grid*regions/d.grid
		row, out := d.rows[p*summaries:][:summaries], dst[r*perRegion:][:perRegion]
		n[r]++
		for l := range levels {
			for k := range turns {
				out[l] += row[l*bins+k] / turns
			}
		}
		for c := range 3 {
			out[levels+c] += row[levels*bins+2*c]
		}
	}
	for i := range dst {
		dst[i] /= n[i/perRegion]
	}
}

// histogram writes the square roots of the shares of brightness.
func (d *describer) histogram(dst []float32) {
	clear(dst)
	for _, v := range d.luma[1] {
		t := min(max(v, 0), 1) * (tones - 1)
		k := min(int(t), tones-2)
		dst[k] += 1 - (t - float32(k))
		dst[k+1] += t - float32(k)
	}
	for k, v := range dst {
		dst[k] = float32(math.Sqrt(float64(v) / float64(len(d.luma[1]))))
	}
}
