package metric

import "math"

// DefaultBins is the number of bins of the expected calibration error (Guo et al., arXiv 1706.04599).
const DefaultBins = 15

// Bin is one bar of a reliability diagram: the samples whose confidence lies in one interval.
type Bin struct {
	N          int
	Confidence float64 // their mean confidence; 0 if N is 0
	Frequency  float64 // proportion of correct decisions; 0 if N is 0
}

// Reliability divides samples by confidence into bins of equal width, (i/bins, (i+1)/bins]. 0 belongs to the
// first.
func Reliability(confidence []float64, right []bool, bins int) []Bin {
	out := make([]Bin, bins)
	for i, c := range confidence {
		b := &out[binOf(c, bins)]
		b.N++
		b.Confidence += c
		if right[i] {
			b.Frequency++
		}
	}
	for i := range out {
		if n := float64(out[i].N); n > 0 {
			out[i].Confidence /= n
			out[i].Frequency /= n
		}
	}
	return out
}

// binOf returns the index of the bin of a confidence.
func binOf(confidence float64, bins int) int {
	return min(max(int(math.Ceil(confidence*float64(bins)))-1, 0), bins-1)
}

// calibrationError returns the mean gap between confidence and frequency, weighted by the number of samples per
// bin.
func calibrationError(bins []Bin) (float64, bool) {
	sum, n := 0.0, 0
	for _, b := range bins {
		sum += float64(b.N) * math.Abs(b.Confidence-b.Frequency)
		n += b.N
	}
	if n == 0 {
		return 0, false
	}
	return sum / float64(n), true
}

// Confidences returns for each sample the probability of the decided label, and whether the decision was
// correct. Labels must be exclusive.
func (p *Predictions) Confidences() (confidence []float64, right []bool) {
	n := p.N()
	confidence, right = make([]float64, n), make([]bool, n)
	for i := range n {
		best := p.top(i)
		confidence[i], right[i] = p.Prob[i*p.Labels+best], p.Truth[i*p.Labels+best]
	}
	return confidence, right
}

// ECE returns the expected calibration error: the mean distance between the confidence of decisions and the
// proportion that is correct, over bins of equal width. For labels that are not exclusive it is the distance
// between a label's probability and its frequency, averaged over labels.
func (p *Predictions) ECE(bins int) (float64, bool) {
	if p.Exclusive {
		confidence, right := p.Confidences()
		return calibrationError(Reliability(confidence, right, bins))
	}
	return p.mean(func(l int) (float64, bool) {
		prob, truth := p.Column(l)
		return calibrationError(Reliability(prob, truth, bins))
	})
}
