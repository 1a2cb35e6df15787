package adapterfile

import (
	"fmt"
	"math"
	"slices"

	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

// Libraries divide the linear maps of a block differently from vit.Site: timm fuses q, k and v, and Hugging
// Face separates gate and up. Converting is exact in both directions: a fused pair has A [r, in] and B [r
// columns, rows of all pieces]. A piece of it has the same A and its rows of B, without the columns of B that
// are zero in these rows.

// pair is A [rank, in] and B [out, rank] of one module, and the alpha that determines its scale.
type pair struct {
	a, b  []float32
	rank  int
	alpha float32
}

func (p *pair) out() int { return len(p.b) / p.rank }
func (p *pair) in() int  { return len(p.a) / p.rank }

func (p *pair) delta(site vit.Site, rsLoRA bool) lora.Delta {
	return lora.Delta{Site: site, Rank: p.rank, Alpha: p.alpha, Scale: lora.ScaleFor(p.alpha, p.rank, rsLoRA), A: p.a, B: p.b}
}

func pairOf(d *lora.Delta) *pair { return &pair{d.A, d.B, d.Rank, d.Alpha} }

// rows returns rows [from, to) of B with all of A.
func (p *pair) rows(from, to int) *pair {
	return &pair{p.a, p.b[from*p.rank : to*p.rank], p.rank, p.alpha}
}

// live returns the columns of B that are not zero.
func (p *pair) live() []int {
	seen := make([]bool, p.rank)
	for i, v := range p.b {
		if v != 0 {
			seen[i%p.rank] = true
		}
	}
	var list []int
	for j, s := range seen {
		if s {
			list = append(list, j)
		}
	}
	return list
}

// columns keeps some of the ranks, without changing the scale.
func (p *pair) columns(keep []int, rsLoRA bool) *pair {
	if len(keep) == p.rank {
		return p
	}
	in, out := p.in(), p.out()
	q := &pair{rank: len(keep), alpha: alphaFor(p, len(keep), rsLoRA)}
	for _, j := range keep {
		q.a = append(q.a, p.a[j*in:(j+1)*in]...)
	}
	for i := range out {
		for _, j := range keep {
			q.b = append(q.b, p.b[i*p.rank+j])
		}
	}
	return q
}

// alphaFor returns the alpha that gives the scale of p at another rank, exactly if possible.
func alphaFor(p *pair, rank int, rsLoRA bool) float32 {
	ratio := float64(rank) / float64(p.rank)
	if rsLoRA {
		ratio = math.Sqrt(ratio)
	}
	alpha, scale := float32(float64(p.alpha)*ratio), lora.ScaleFor(p.alpha, p.rank, rsLoRA)
	for _, try := range []float32{alpha, math.Nextafter32(alpha, 0), math.Nextafter32(alpha, math.MaxFloat32)} {
		if lora.ScaleFor(try, rank, rsLoRA) == scale {
			return try
		}
	}
	return alpha
}

// split divides a fused pair into pieces of equal height. A piece whose B is zero is left out, unless all are.
func (p *pair) split(pieces int, rsLoRA bool) []*pair {
	list, height, any := make([]*pair, pieces), p.out()/pieces, len(p.live()) > 0
	for i := range list {
		list[i] = p.rows(i*height, (i+1)*height)
		if keep := list[i].live(); any && len(keep) == 0 {
			list[i] = nil
		} else if any {
			list[i] = list[i].columns(keep, rsLoRA)
		}
	}
	return list
}

// fuse is the inverse of split. A nil piece becomes zeros. Pieces with equal A share it; others are
// concatenated, so that their ranks add up. All must have the same scale.
func fuse(pieces []*pair, height int, rsLoRA bool) (*pair, error) {
	var first *pair
	shared, total := true, 0
	for _, p := range pieces {
		switch {
		case p == nil:
			continue
		case first == nil:
			first = p
		case lora.ScaleFor(p.alpha, p.rank, rsLoRA) != lora.ScaleFor(first.alpha, first.rank, rsLoRA):
			return nil, fmt.Errorf("scales %g and %g, expected one (folding the scale into B avoids that)",
				lora.ScaleFor(first.alpha, first.rank, rsLoRA), lora.ScaleFor(p.alpha, p.rank, rsLoRA))
		default:
			shared = shared && slices.Equal(p.a, first.a)
		}
		total += p.rank
	}
	if shared {
		total = first.rank
	}
	f := &pair{rank: total, alpha: alphaFor(first, total, rsLoRA), b: make([]float32, len(pieces)*height*total)}
	column := 0
	for i, p := range pieces {
		if p == nil {
			continue
		}
		if !shared || column == 0 {
			f.a = append(f.a, p.a...)
		}
		if shared {
			column = 0
		}
		for row := range height {
			copy(f.b[(i*height+row)*total+column:], p.b[row*p.rank:(row+1)*p.rank])
		}
		column += p.rank
	}
	return f, nil
}

// fold multiplies the scale into B.
func (p *pair) fold(rsLoRA bool) *pair {
	scale := lora.ScaleFor(p.alpha, p.rank, rsLoRA)
	q := &pair{a: p.a, rank: p.rank, alpha: float32(p.rank), b: slices.Clone(p.b)}
	if rsLoRA {
		q.alpha = float32(math.Sqrt(float64(p.rank)))
	}
	for i := range q.b {
		q.b[i] *= scale
	}
	return q
}

// apart divides a fused [gate; up] pair. If each rank belongs to only one half, ranks are divided; otherwise
// both get all of A.
func (p *pair) apart(rsLoRA bool) (gate, up *pair) {
	half := p.out() / 2
	gate, up = p.rows(0, half), p.rows(half, 2*half)
	g, u := gate.live(), up.live()
	switch {
	case len(g) > 0 && len(u) == 0:
		return gate, nil
	case len(g) == 0 && len(u) > 0:
		return nil, up
	case len(g)+len(u) == p.rank && !slices.ContainsFunc(g, func(j int) bool { return slices.Contains(u, j) }) && len(g) > 0:
		return gate.columns(g, rsLoRA), up.columns(u, rsLoRA)
	}
	return gate, up
}
