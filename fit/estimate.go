package fit

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
)

// Sample holds summaries of images.
type Sample struct {
	Size int
	X    []float32 // [n, Size]
	// Groups names the patient of each image: images of one group are never on both sides of a split. nil:
	// images are independent.
	Groups []string
}

// N returns the number of images.
func (s *Sample) N() int {
	if s == nil || s.Size == 0 {
		return 0
	}
	return len(s.X) / s.Size
}

func (s *Sample) row(i int) []float32 { return s.X[i*s.Size : (i+1)*s.Size] }

// Chosen says how a threshold was chosen.
type Chosen struct {
	Images int // number of images used
	// they are held-out training images, each scored by a description fitted without it; otherwise validation
	// images
	Held     bool
	Refusal  float64 // intended fraction of them to be refused
	Expected float64 // expected fraction of images of this kind to be refused: at least 1/(Images+1)
}

// Constants of an estimate.
const (
	// noise is a relative deviation from a mean that is not significant: narrow products and other decoders
	// cause about as much.
	noise = 0.02
	// least is the minimum variance of a value, relative to the mean variance: no value is assumed to be
	// constant.
	least = 0.05
	folds = 5
	// quantiles is the number of steps of Description.Scores.
	quantiles = 200
	sweeps    = 6 // iterations to find the directions
)

// Estimate describes training images and chooses the threshold. It uses the validation images, or, if these are
// too few for the given refusal, the training images by cross-fitting: each is scored by a description fitted
// without it. The result depends only on the arguments.
func Estimate(train, validation *Sample, refusal float64) (*Description, Chosen, error) {
	c := Chosen{Refusal: refusal}
	if train.N() < 2*folds {
		return nil, c, errors.New("fit: too few training images to describe")
	}
	d := describe(train, all(train.N()))
	scores := make([]float64, 0, train.N())
	if needed := int(math.Ceil(1 / refusal)); validation.N() >= needed {
		for i := range validation.N() {
			scores = append(scores, d.score(validation.row(i)))
		}
	} else {
		c.Held = true
		for k := range folds {
			in, out := division(train, k)
			if len(out) == 0 || len(in) < 2 {
				continue
			}
			part := describe(train, in)
			for _, i := range out {
				scores = append(scores, part.score(train.row(i)))
			}
		}
		for i := range validation.N() {
			scores = append(scores, d.score(validation.row(i)))
		}
	}
	if len(scores) == 0 {
		return nil, c, errors.New("fit: the training images are all of one group")
	}
	slices.Sort(scores)
	c.Images = len(scores)
	// Of n+1 exchangeable images, the new one is equally likely to have any rank (split conformal).
	k := min(int(math.Ceil(float64(c.Images+1)*(1-refusal))), c.Images)
	c.Expected = 1 - float64(k)/float64(c.Images+1)
	d.Threshold = scores[k-1]
	d.Scores = make([]float32, quantiles+1)
	for q := range d.Scores {
		at := float64(q) / quantiles * float64(len(scores)-1)
		i := int(at)
		v := scores[i]
		if i+1 < len(scores) {
			v += (at - float64(i)) * (scores[i+1] - v)
		}
		d.Scores[q] = float32(v)
	}
	if err := d.Validate(); err != nil {
		return nil, c, err
	}
	return d, c, nil
}

func all(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// division splits a sample for fold k, keeping groups together.
func division(s *Sample, k int) (in, out []int) {
	seen := map[string]int{}
	next := 0
	for i := range s.N() {
		fold := next
		if s.Groups != nil && s.Groups[i] != "" {
			g, ok := seen[s.Groups[i]]
			if !ok {
				g = next
				seen[s.Groups[i]] = g
				next++
			}
			fold = g
		} else {
			next++
		}
		if fold%folds == k {
			out = append(out, i)
		} else {
			in = append(in, i)
		}
	}
	return in, out
}

// rankFor returns the number of directions, limited by the space in a file and by the number of images.
func rankFor(size, n int) int {
	const overhead = 4 * (quantiles + 2)
	room := (MaxBytes - overhead - 8*size) / (size + 8)
	return max(0, min(MaxDirections, room, n/8, size/2))
}

// describe fits a description to some of the images, without scores and threshold.
func describe(s *Sample, of []int) *Description {
	n, f := len(of), s.Size
	d := &Description{Size: f, Mean: make([]float32, f), Scale: make([]float32, f)}
	mean, variance := make([]float64, f), make([]float64, f)
	for _, i := range of {
		for j, v := range s.row(i) {
			mean[j] += float64(v) / float64(n)
		}
	}
	total := 0.0
	for _, i := range of {
		for j, v := range s.row(i) {
			x := float64(v) - mean[j]
			variance[j] += x * x / float64(n-1)
		}
	}
	for _, v := range variance {
		total += v / float64(f)
	}
	for j, v := range variance {
		off := noise * mean[j]
		d.Mean[j] = float32(mean[j])
		d.Scale[j] = float32(math.Sqrt(v + off*off + least*total + math.SmallestNonzeroFloat32))
	}
	z := make([]float64, n*f)
	for k, i := range of {
		for j, v := range s.row(i) {
			z[k*f+j] = (float64(v) - float64(d.Mean[j])) / float64(d.Scale[j])
		}
	}
	d.spread(z, n)
	return d
}

// spread finds the directions in which rows z [n, Size] vary most, the variances along them, and the mean
// variance of the rest.
func (d *Description) spread(z []float64, n int) {
	f := d.Size
	rank := rankFor(f, n)
	basis := principal(z, n, f, rank)
	d.Directions, d.Steps = make([]int8, rank*f), make([]float32, rank)
	for r := range rank {
		d.round(r, basis[r*f:(r+1)*f])
	}
	left, along := 0.0, make([]float64, rank)
	for k := range n {
		row := z[k*f : (k+1)*f]
		for _, v := range row {
			left += v * v
		}
		for r := range rank {
			p := 0.0
			for j, q := range d.Directions[r*f : (r+1)*f] {
				p += row[j] * float64(q)
			}
			p *= float64(d.Steps[r])
			left -= p * p
			along[r] += p * p
		}
	}
	const smallest = 1e-6
	rest := max(left/float64(max(n-1, 1)*max(f-rank, 1)), smallest)
	d.Rest = float32(rest)
	d.Variances = make([]float32, rank)
	for r, v := range along {
		d.Variances[r] = float32(max(v/float64(n-1), rest))
	}
}

// round stores a unit vector with one byte per value.
func (d *Description) round(r int, v []float64) {
	top := 0.0
	for _, x := range v {
		top = max(top, math.Abs(x))
	}
	q, length := d.Directions[r*d.Size:(r+1)*d.Size], 0.0
	for j, x := range v {
		q[j] = int8(math.RoundToEven(x / max(top, math.SmallestNonzeroFloat32) * math.MaxInt8))
		length += float64(q[j]) * float64(q[j])
	}
	d.Steps[r] = float32(1 / math.Sqrt(max(length, 1)))
}

// principal returns an orthonormal basis [rank, f] of the directions in which rows z [n, f] vary most, by
// subspace iteration from a fixed start.
func principal(z []float64, n, f, rank int) []float64 {
	if rank == 0 {
		return nil
	}
	source := rand.New(rand.NewPCG(58, 0))
	width := min(rank+8, f) // some more columns make it converge faster
	basis := make([]float64, width*f)
	for i := range basis {
		basis[i] = source.NormFloat64()
	}
	next, p := make([]float64, width*f), make([]float64, width)
	for range sweeps {
		orthonormal(basis, width, f)
		clear(next)
		for k := range n {
			row := z[k*f : (k+1)*f]
			for r := range width {
				p[r] = dot(row, basis[r*f:(r+1)*f])
			}
			for r, v := range p {
				dst := next[r*f : (r+1)*f]
				for j, x := range row {
					dst[j] += v * x
				}
			}
		}
		basis, next = next, basis
		byLength(basis, width, f)
	}
	orthonormal(basis, width, f)
	return basis[:rank*f]
}

func dot(a, b []float64) (sum float64) {
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

// byLength sorts rows by length, longest first.
func byLength(rows []float64, n, f int) {
	length := make([]float64, n)
	for r := range n {
		length[r] = dot(rows[r*f:(r+1)*f], rows[r*f:(r+1)*f])
	}
	order := all(n)
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case length[a] > length[b]:
			return -1
		case length[a] < length[b]:
			return 1
		}
		return 0
	})
	was := slices.Clone(rows)
	for to, from := range order {
		copy(rows[to*f:(to+1)*f], was[from*f:(from+1)*f])
	}
}

// orthonormal makes rows orthonormal, in order (Gram-Schmidt, twice). A row that depends on others becomes
// zero.
func orthonormal(rows []float64, n, f int) {
	for r := range n {
		row := rows[r*f : (r+1)*f]
		before := math.Sqrt(dot(row, row))
		for range 2 {
			for o := range r {
				other := rows[o*f : (o+1)*f]
				p := dot(row, other)
				for j, x := range other {
					row[j] -= p * x
				}
			}
		}
		length := math.Sqrt(dot(row, row))
		if length <= 1e-9*before || length == 0 {
			clear(row)
			continue
		}
		for j := range row {
			row[j] /= length
		}
	}
}
