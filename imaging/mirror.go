package imaging

import "slices"

// Mirror exchanges left and right of prepared inputs [n, 3, side, side], in place.
func Mirror(inputs []float32, side int) {
	for ; len(inputs) >= side; inputs = inputs[side:] {
		slices.Reverse(inputs[:side])
	}
}
