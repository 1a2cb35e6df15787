// Package wavelet has the inverse wavelet transforms of JPEG 2000: the reversible 5/3 of integers and the irreversible 9/7
// of floating point (ITU-T T.800, annex F).
//
// A plane is transformed in place. Before a level, the low-pass samples of each row and column come first and the high-pass
// ones follow; after it they are interleaved.
package wavelet

// Int is the type of a sample of the reversible transform.
type Int interface{ int32 | int64 }

// Level is the area that one level of the inverse transform makes. Parity is that of its origin: where it is odd the first
// sample is a high-pass one.
type Level struct {
	W, H   int
	OddX   bool
	OddY   bool
	Stride int
}

// strip is the number of columns that are transformed together: as many as fill a few lines of cache.
const strip = 32

// parts returns the number of low-pass and of high-pass samples among n.
func parts(n int, odd bool) (low, high int) {
	if odd {
		return n / 2, (n + 1) / 2
	}
	return (n + 1) / 2, n / 2
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
