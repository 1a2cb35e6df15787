package dataset

import (
	"math"
	"math/bits"
	"slices"

	"melo.example/melo/imaging"
)

// The grid of a look. Rows have one cell more than the hash has bits, because it compares neighbours.
const (
	lookW = 17
	lookH = 16
)

// look is a coarse summary of an image: the mean brightness of each cell of a grid, and properties of the
// border.
type look struct {
	cells  [lookW * lookH]uint8
	border float32 // mean brightness of the outer 5 %, 0 to 1
	marks  float32 // fraction of the corners that is nearly white: letters and markers
}

// lookAt summarises an image. Brightness is relative to the largest possible sample.
func lookAt(m *imaging.Image) *look {
	most := float64(max(m.Max(), 1))
	var sums [lookW * lookH]float64
	var counts [lookW * lookH]int
	var border, corner, white float64
	var borders int
	frameX, frameY := max(m.W/20, 1), max(m.H/20, 1)
	cornerX, cornerY := max(m.W/6, 1), max(m.H/6, 1)
	column := make([]int, m.W)
	for x := range column {
		column[x] = x * lookW / m.W
	}
	for y := range m.H {
		row := y * lookH / m.H * lookW
		edgeY := y < frameY || y >= m.H-frameY
		cornerRow := y < cornerY || y >= m.H-cornerY
		for x := range m.W {
			v := brightness(m, y*m.W+x) / most
			cell := row + column[x]
			sums[cell] += v
			counts[cell]++
			if edgeY || x < frameX || x >= m.W-frameX {
				border += v
				borders++
			}
			if cornerRow && (x < cornerX || x >= m.W-cornerX) {
				corner++
				if v > 0.9 {
					white++
				}
			}
		}
	}
	l := &look{border: float32(border / float64(max(borders, 1))), marks: float32(white / max(corner, 1))}
	last := 0.0
	for i, n := range counts {
		if n > 0 { // in images smaller than the grid, some cells are empty
			last = sums[i] / float64(n)
		}
		l.cells[i] = uint8(math.Round(255 * min(last, 1)))
	}
	return l
}

// brightness returns the mean of a pixel's channels.
func brightness(m *imaging.Image, pixel int) float64 {
	at := pixel * m.C
	if m.Bits == 16 {
		if m.C == 1 {
			return float64(m.Pix16[at])
		}
		return (float64(m.Pix16[at]) + float64(m.Pix16[at+1]) + float64(m.Pix16[at+2])) / 3
	}
	if m.C == 1 {
		return float64(m.Pix8[at])
	}
	return float64(int(m.Pix8[at])+int(m.Pix8[at+1])+int(m.Pix8[at+2])) / 3
}

// print is a perceptual hash: one bit for each pair of horizontal neighbours, set if the right one is brighter.
type print [lookW * lookH / 64]uint64

func (l *look) print() (p print) {
	k := 0
	for y := range lookH {
		for x := range lookW - 1 {
			if l.cells[y*lookW+x+1] > l.cells[y*lookW+x] {
				p[k/64] |= 1 << (k % 64)
			}
			k++
		}
	}
	return p
}

func (p *print) distance(q *print) int {
	n := 0
	for i := range p {
		n += bits.OnesCount64(p[i] ^ q[i])
	}
	return n
}

// moments returns mean and standard deviation of the cells.
func (l *look) moments() (mean, spread float64) {
	for _, v := range l.cells {
		mean += float64(v)
	}
	mean /= float64(len(l.cells))
	for _, v := range l.cells {
		spread += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, math.Sqrt(spread / float64(len(l.cells)))
}

func correlation(a, b *look) float64 {
	meanA, spreadA := a.moments()
	meanB, spreadB := b.moments()
	sum := 0.0
	for i := range a.cells {
		sum += (float64(a.cells[i]) - meanA) * (float64(b.cells[i]) - meanB)
	}
	return sum / float64(len(a.cells)) / max(spreadA*spreadB, 1e-9)
}

// Two images are near copies if at most nearBits bits of their hashes differ and their looks correlate
// strongly. Images without structure are never near copies.
const (
	nearBits        = 28
	nearCorrelation = 0.99
	flatSpread      = 6
	maxCompared     = 40_000 // with more images, only those are compared that agree in part of the hash
)

// NearCopies returns pairs of images that look alike but are not equal, the most similar first, after Scan with
// Looks: a picture that was saved again, slightly cropped, scaled or brightened. It returns at most most pairs,
// and the number of all.
func (d *Dataset) NearCopies(most int) (pairs [][2]int, all int) {
	var at []int
	var prints []print
	for i, l := range d.looks {
		if l == nil {
			continue
		}
		if _, spread := l.moments(); spread >= flatSpread {
			at, prints = append(at, i), append(prints, l.print())
		}
	}
	type scored struct {
		pair  [2]int
		score float64
	}
	var found []scored
	check := func(a, b int) {
		i, j := at[a], at[b]
		if prints[a].distance(&prints[b]) > nearBits || d.pixels[i] == d.pixels[j] {
			return
		}
		if c := correlation(d.looks[i], d.looks[j]); c >= nearCorrelation {
			found = append(found, scored{[2]int{i, j}, c})
		}
	}
	if len(at) <= maxCompared {
		for a := range at {
			for b := a + 1; b < len(at); b++ {
				check(a, b)
			}
		}
	} else {
		for a, bs := range candidates(prints) {
			for _, b := range bs {
				check(a, b)
			}
		}
	}
	slices.SortFunc(found, func(x, y scored) int {
		switch {
		case x.score > y.score:
			return -1
		case x.score < y.score:
			return 1
		case x.pair[0] != y.pair[0]:
			return x.pair[0] - y.pair[0]
		}
		return x.pair[1] - y.pair[1]
	})
	for _, s := range found[:min(most, len(found))] {
		pairs = append(pairs, s.pair)
	}
	return pairs, len(found)
}

// candidates returns, for each hash, later ones that agree with it in one of its sixteenths. Parts that very
// many hashes share are ignored.
func candidates(prints []print) [][]int {
	const crowd = 256
	buckets := map[[2]int][]int{}
	for i := range prints {
		for part := range 16 {
			key := [2]int{part, int(prints[i][part/4] >> (part % 4 * 16) & 0xffff)}
			buckets[key] = append(buckets[key], i)
		}
	}
	out := make([][]int, len(prints))
	for _, b := range buckets {
		if len(b) > crowd {
			continue
		}
		for k, i := range b {
			out[i] = append(out[i], b[k+1:]...)
		}
	}
	for i := range out {
		slices.Sort(out[i])
		out[i] = slices.Compact(out[i])
	}
	return out
}
