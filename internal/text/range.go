package text

import (
	"fmt"
	"strconv"
)

// Range formats an interval with three decimals. If both ends would be equal it uses as many more as
// distinguish them, or says what both are below or above, so that an interval never appears to have no width.
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
