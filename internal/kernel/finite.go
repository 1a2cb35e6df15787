package kernel

// AllFinite reports whether x has neither NaN nor infinity. It uses that 0*x is 0 for finite x and NaN
// otherwise.
func AllFinite(x []float32) bool {
	var sums [maxLanes]float32
	if n := len(x) &^ (4*current.lanes - 1); fast() && n > 0 {
		asmTimesZero(&sums[0], &x[0], n)
		x = x[n:]
	}
	var odd float32
	for _, v := range sums {
		odd += v
	}
	for _, v := range x {
		odd += 0 * v
	}
	return odd == 0
}
