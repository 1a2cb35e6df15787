package text

import (
	"fmt"
	"strconv"
)

// Range writes an interval with three decimals. Where these are the same at both ends it has as many more as tell them apart,
// or says what both are below or above: an interval has a width.
func Range(low, high float64) string {
	const least, most = 3, 6
	at := func(v float64, n int) string { return strconv.FormatFloat(v, 'f', n, 64) }
	for n := least; n <= most; n++ {
		if a, b := at(low, n), at(high, n); a != b || low == high {
			return a + " to " + b
		}
	}
	switch mark := at(high, most); mark {
	case at(0, most):
		return "0 to below 0.000001"
	case at(1, most):
		return "above 0.999999 to 1"
	default:
		return fmt.Sprintf("about %s", mark)
	}
}
