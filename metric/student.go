package metric

import "math"

// normalQuantile is the quantile function of the standard normal distribution.
func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// studentTail returns the probability that Student's t with df degrees of freedom exceeds t >= 0.
func studentTail(t, df float64) float64 { return betaShare(df/2, 0.5, df/(df+t*t)) / 2 }

// studentQuantile is the quantile function of Student's distribution for p >= 0.5. If df is infinite it is the
// normal one.
func studentQuantile(p, df float64) float64 {
	if df > 1e7 {
		return normalQuantile(p)
	}
	above, _ := math.Lgamma((df + 1) / 2)
	below, _ := math.Lgamma(df / 2)
	scale := math.Exp(above-below) / math.Sqrt(df*math.Pi)
	t := normalQuantile(p)
	// The tail is convex and the normal quantile is smaller, so Newton's method increases without overshooting.
	for range 100 {
		step := (studentTail(t, df) - (1 - p)) / (scale * math.Pow(1+t*t/df, -(df+1)/2))
		t += step
		if math.Abs(step) < 1e-12*(1+t) {
			break
		}
	}
	return t
}

// betaShare is the regularised incomplete beta function I_x(a, b), computed from its continued fraction
// (Abramowitz and Stegun 26.5.8) by Lentz's method.
func betaShare(a, b, x float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2): // the continued fraction of the complement converges sooner
		return 1 - betaShare(b, a, 1-x)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	const tiny, steps = 1e-300, 500
	f, c, d := 1.0, 1.0, 0.0
	for i := 0; i <= steps; i++ {
		m, term := float64(i/2), 1.0
		switch {
		case i == 0:
		case i%2 == 0:
			term = m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		default:
			term = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		}
		d = 1 + term*d
		if math.Abs(d) < tiny {
			d = tiny
		}
		d = 1 / d
		c = 1 + term/c
		if math.Abs(c) < tiny {
			c = tiny
		}
		f *= c * d
		if math.Abs(1-c*d) < 1e-15 {
			break
		}
	}
	return front * (f - 1)
}
