package phantom

import "math"

// random is a stream of numbers: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
// 2014). It is written out here because pictures must not change with the standard library.
type random struct{ state uint64 }

// newRandom begins a stream that belongs to the parts: task, seed, number of the picture.
func newRandom(parts ...uint64) *random {
	r := &random{state: 0x9e3779b97f4a7c15}
	for _, p := range parts {
		r.state ^= p
		r.state = r.next()
	}
	return r
}

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit is uniform in [0, 1).
func (r *random) unit() float64 { return float64(r.next()>>11) / (1 << 53) }

// in is uniform in [low, high).
func (r *random) in(low, high float64) float64 { return low + (high-low)*r.unit() }

// chance is true with probability p.
func (r *random) chance(p float64) bool { return r.unit() < p }

// n is uniform in 0..k-1.
func (r *random) n(k int) int { return int(r.next()>>33) % k }

// between is uniform in low..high, both included.
func (r *random) between(low, high int) int { return low + r.n(high-low+1) }

// sign is 1 or -1.
func (r *random) sign() float64 { return 1 - 2*float64(r.next()>>63) }

// normal is near a normal variable of mean 0 and deviation 1: the sum of the eight bytes of a number. Its tails
// end at 4.9, which is what a picture needs.
func (r *random) normal() float64 {
	z := r.next()
	const low = 0x00ff00ff00ff00ff
	z = z&low + z>>8&low
	z = z&0x0000ffff0000ffff + z>>16&0x0000ffff0000ffff
	sum := float64(z&0xffffffff + z>>32)
	return (sum - 8*127.5) / 209.0 // sqrt(8 * (256*256-1) / 12)
}

// around is normal with a mean and a deviation, cut off at two deviations.
func (r *random) around(mean, deviation float64) float64 {
	return mean + deviation*clamp(r.normal(), -2, 2)
}

// direction is a random unit vector.
func (r *random) direction() (x, y float64) {
	sin, cos := math.Sincos(r.in(0, 2*math.Pi))
	return cos, sin
}
