// Package wavelet implements the inverse wavelet transforms of JPEG 2000: the reversible 5/3 transform of
// integers and the irreversible 9/7 transform in floating point (ITU-T T.800, annex F).
//
// A plane is computed level by level, with one pass over its rows per level: a row is assembled from its
// low-pass and high-pass halves, then the rows above it are lifted as soon as their neighbours are ready, while
// they are in the caches.
package wavelet

// Int is the type of a sample of the reversible transform.
type Int interface{ int32 | int64 }

// Level is one level of the inverse transform.
type Level[T any] struct {
	W, H int  // of what is made
	OddX bool // the first column is a high-pass one
	OddY bool // the first row is

	Out       []T // what is made
	OutStride int
	// Low is the coarser level, of half the width and height, rounded up (down, where the first is a high-pass one). It may
	// lie in Out's memory so that its last row is Out's last row: it is read before it is overwritten.
	Low       []T
	LowStride int
	// High has the other three subbands, in a plane of this level's size in which Low would be on the upper left.
	High       []T
	HighStride int
}

// parts returns the number of low-pass and of high-pass samples among n.
func parts(n int, odd bool) (low, high int) {
	if odd {
		return n / 2, (n + 1) / 2
	}
	return (n + 1) / 2, n / 2
}

// halves returns the halves of row y, and whether it is a low-pass row.
func (l *Level[T]) halves(y int) (low, high []T, isLow bool) {
	lw, _ := parts(l.W, l.OddX)
	lh, _ := parts(l.H, l.OddY)
	odd := 0
	if l.OddY {
		odd = 1
	}
	if i := y / 2; (y+odd)&1 == 0 {
		return l.Low[i*l.LowStride:][:lw], l.High[i*l.HighStride:][lw:l.W], true
	}
	row := l.High[(lh+y/2)*l.HighStride:][:l.W]
	return row[:lw], row[lw:], false
}

// out returns row y of what is made.
func (l *Level[T]) out(y int) []T { return l.Out[y*l.OutStride:][:l.W] }

// around returns the rows above and below y; where there is one alone it is both.
func (l *Level[T]) around(y int) (above, below []T) {
	a, b := y-1, y+1
	if a < 0 {
		a = b
	}
	if b >= l.H {
		b = a
	}
	return l.out(a), l.out(b)
}

// walk makes the rows, and lifts each as soon as it can be: of steps lifts, the first, third and so on are of low-pass rows.
func (l *Level[T]) walk(steps int, row func(y int), lift func(step int, out, above, below []T)) {
	odd := 0
	if l.OddY {
		odd = 1
	}
	for t := range l.H + steps {
		if t < l.H {
			row(t)
		}
		for s := range steps {
			y := t - 1 - s
			if y < 0 || y >= l.H || (y+odd)&1 != s&1 {
				continue
			}
			above, below := l.around(y)
			lift(s, l.out(y), above, below)
		}
	}
}
