package text

import "testing"

func TestRange(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{{0.25, 0.75, "0.250 to 0.750"}, {0.12341, 0.12349, "0.1234 to 0.1235"}, {0.00001, 0.0002, "0.0000 to 0.0002"}, {1e-9, 2e-8, "0 to below 0.000001"},
		{1 - 1e-9, 1, "above 0.999999 to 1"}, {0.123456781, 0.123456789, "about 0.123457"}, {0.5, 0.5, "0.500 to 0.500"}} {
		if got := Range(c.low, c.high); got != c.want {
			t.Errorf("%v, %v: %q, expected %q", c.low, c.high, got, c.want)
		}
	}
}
