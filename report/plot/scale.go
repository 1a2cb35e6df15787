package plot

import (
	"math"
	"strconv"
	"strings"
)

// scale maps the values of an axis to positions.
type scale struct {
	min, max float64
	from, to float64 // positions of min and max
	log      bool
	ticks    []float64
	format   func(float64) string
}

// at returns the position of a value, which is not finite if the value has none.
func (s *scale) at(v float64) float64 {
	low, high := s.min, s.max
	if s.log {
		if v <= 0 {
			return math.NaN()
		}
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	return s.from + (v-low)/(high-low)*(s.to-s.from)
}

// newScale spans the values from low to high with some ticks.
func newScale(a *Axis, low, high, from, to float64, most int) *scale {
	fixed := a.Max > a.Min && (!a.Log || a.Min > 0)
	if fixed {
		low, high = a.Min, a.Max
	}
	if !(low <= high) {
		low, high = 0, 1
		if a.Log {
			low, high = 1, 10
		}
	}
	s := &scale{from: from, to: to, log: a.Log}
	if a.Log {
		s.logarithmic(low, high, fixed, most)
		return s
	}
	if low == high {
		// As much as the numbers tell apart, around the only one.
		pad := max(math.Abs(low)*0.1, 1e-3)
		if a.Whole {
			pad = 1
		}
		low, high = low-pad, high+pad
	}
	step := niceStep((high-low)/float64(most), a.Whole)
	if !fixed && !a.Whole {
		low, high = math.Floor(low/step)*step, math.Ceil(high/step)*step
	}
	s.min, s.max = low, high
	for k := math.Ceil(low/step - 1e-9); k*step <= high+step*1e-9 && len(s.ticks) <= 4*most; k++ {
		s.ticks = append(s.ticks, k*step)
	}
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	s.format = func(v float64) string { return number(v, decimals, math.Max(math.Abs(low), math.Abs(high))) }
	return s
}

// logarithmic puts ticks at powers of ten or, if there are few of them, at 2 and 5 times those, too.
func (s *scale) logarithmic(low, high float64, fixed bool, most int) {
	if low == high {
		low, high = low/2, high*2
	}
	first, last := math.Floor(math.Log10(low)+1e-9), math.Ceil(math.Log10(high)-1e-9)
	s.min, s.max = low, high
	if !fixed && last-first > 2 {
		s.min, s.max = math.Pow(10, first), math.Pow(10, last)
	}
	every := math.Max(1, math.Ceil((last-first)/float64(most)))
	for e := first; e <= last; e += every {
		for _, m := range []float64{1, 2, 5} {
			if m > 1 && last-first > 2 {
				break
			}
			if v := m * math.Pow(10, e); v >= s.min*(1-1e-9) && v <= s.max*(1+1e-9) {
				s.ticks = append(s.ticks, v)
			}
		}
	}
	s.format = func(v float64) string { return number(v, max(0, int(-math.Floor(math.Log10(v)+1e-9))), high) }
}

// niceStep returns the smallest of 1, 2, 5 times a power of ten that is not below least.
func niceStep(least float64, whole bool) float64 {
	if whole {
		least = max(least, 1)
	}
	if !(least > 0) || math.IsInf(least, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= least*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// number writes the value of a tick.
func number(v float64, decimals int, largest float64) string {
	if v == 0 || math.Abs(v) < 1e-12*largest {
		return "0"
	}
	if decimals > 4 || largest >= 1e6 {
		text := strconv.FormatFloat(v, 'g', 3, 64)
		return strings.NewReplacer("e-0", "e-", "e+0", "e", "e+", "e", "-", "−").Replace(text)
	}
	return strings.Replace(strconv.FormatFloat(v, 'f', decimals, 64), "-", "−", 1)
}
