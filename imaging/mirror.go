package imaging

import "slices"

// Mirror flips prepared inputs [n, 3, side, side] left to right, in place.
func Mirror(inputs []float32, side int) {
	for ; len(inputs) >= side; inputs = inputs[side:] {
		slices.Reverse(inputs[:side])
	}
}
