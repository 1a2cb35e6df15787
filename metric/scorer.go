package metric

import "math"

// scorer computes all metrics of predictions in which each sample counts an integer number of times: the
// resamples of a bootstrap, without sorting or copying again. A scorer may be shared between goroutines;
// scratch may not.
type scorer struct {
	p       *Predictions
	order   [][]int32 // for each label, the samples in ascending order of probability
	decided []bool    // [n, Labels] decisions as Accuracy counts them
	above   []bool    // [n, Labels] decisions by thresholds; same as decided if labels are not exclusive
	square  []float64 // [n] terms of Brier
	nats    []float64 // [n] terms of LogLoss
	bin     []uint8   // [n, columns] bins of ECE
	gap     []float64 // [n, columns] confidence minus correctness
	right   []bool    // [n, columns]
	columns int       // of ECE: 1 if labels are exclusive, else one per label
}

// scratch is the working memory of one run of a scorer.
type scratch struct {
	counts, at []Counts
	gaps       []float64 // [columns, DefaultBins]
	in, right  []int32   // [columns, DefaultBins]
}

func (s *scorer) scratch() *scratch {
	bins := s.columns * DefaultBins
	return &scratch{make([]Counts, s.p.Labels), make([]Counts, s.p.Labels), make([]float64, bins), make([]int32, bins), make([]int32, bins)}
}

// newScorer prepares predictions, which must have been checked.
func newScorer(p *Predictions) *scorer {
	n := p.N()
	s := &scorer{p: p, square: make([]float64, n), nats: make([]float64, n), columns: p.Labels}
	s.above = make([]bool, len(p.Prob))
	for i, v := range p.Prob {
		s.above[i] = v >= p.Threshold(i%p.Labels)
	}
	for l := range p.Labels {
		prob, _ := p.Column(l)
		order := make([]int32, n)
		for k, i := range ascending(prob) {
			order[k] = int32(i)
		}
		s.order = append(s.order, order)
	}
	confidence, right := p.Prob, p.Truth
	s.decided = s.above
	if p.Exclusive {
		s.columns = 1
		confidence, right = p.Confidences()
		s.decided = make([]bool, len(p.Prob))
		for i := range n {
			s.decided[i*p.Labels+p.Decided(i)] = true
		}
		if p.sides() {
			s.above = s.decided
		}
	}
	s.right = right
	s.bin, s.gap = make([]uint8, len(confidence)), make([]float64, len(confidence))
	for i, c := range confidence {
		s.bin[i] = uint8(binOf(c, DefaultBins))
		if right[i] {
			c--
		}
		s.gap[i] = c
	}
	for i := range n {
		one := Predictions{Labels: p.Labels, Exclusive: p.Exclusive,
			Prob: p.Prob[i*p.Labels : (i+1)*p.Labels], Truth: p.Truth[i*p.Labels : (i+1)*p.Labels]}
		s.square[i], _ = one.Brier()
		s.nats[i], _ = one.LogLoss()
	}
	return s
}

// notDefined marks an undefined metric in the list of a scorer.
var notDefined = math.NaN()

// score computes the metrics, in the order of Numbers.list. Sample i counts weights[i] times.
func (s *scorer) score(weights []int32, t *scratch, out []float64) {
	t.clear()
	total := s.count(weights, t)
	put := func(v float64, ok bool) {
		if !ok {
			v = notDefined
		}
		out[0], out = v, out[1:]
	}
	macro := &out[0] // mean of the AUCs that follow
	put(0, false)
	put(accuracy(t.counts, s.p.Exclusive))
	put(balanced(t.counts, s.p.Exclusive))
	put(macroF1(t.counts))
	put(s.calibrationError(weights, t, total))
	put(s.debiased(t, total))
	put(s.average(s.square, weights, total))
	put(s.average(s.nats, weights, total))
	sum, defined := 0.0, 0
	for l := range s.p.Labels {
		auc, ok := s.area(l, weights)
		if ok {
			sum += auc
			defined++
		}
		put(auc, ok)
		for _, k := range []*Counts{&t.counts[l], &t.at[l]} {
			put(k.Sensitivity())
			put(k.Specificity())
			put(k.Precision())
			put(k.NegativePrecision())
			put(k.F1())
		}
	}
	if defined > 0 {
		*macro = sum / float64(defined)
	}
}

func (t *scratch) clear() {
	clear(t.counts)
	clear(t.at)
	clear(t.gaps)
	clear(t.in)
	clear(t.right)
}

// count counts the decisions about each label, and returns the sum of weights.
func (s *scorer) count(weights []int32, t *scratch) (total int) {
	labels := s.p.Labels
	for i, w := range weights {
		if w == 0 {
			continue
		}
		total += int(w)
		for l := range labels {
			k := i*labels + l
			t.counts[l].add(s.decided[k], s.p.Truth[k], int(w))
			t.at[l].add(s.above[k], s.p.Truth[k], int(w))
		}
	}
	return total
}

// add counts a decision w times.
func (k *Counts) add(decided, truth bool, w int) {
	switch {
	case decided && truth:
		k.TP += w
	case decided:
		k.FP += w
	case truth:
		k.FN += w
	default:
		k.TN += w
	}
}

// average returns the weighted mean of values.
func (s *scorer) average(values []float64, weights []int32, total int) (float64, bool) {
	sum := 0.0
	for i, w := range weights {
		sum += float64(w) * values[i]
	}
	return sum / float64(total), total > 0
}

// calibrationError computes Predictions.ECE. In each bin, the number of samples times the distance between mean
// confidence and proportion correct equals the absolute value of the sum of gaps.
func (s *scorer) calibrationError(weights []int32, t *scratch, total int) (float64, bool) {
	for i, w := range weights {
		for c := range s.columns {
			k := i*s.columns + c
			at := c*DefaultBins + int(s.bin[k])
			t.gaps[at] += float64(w) * s.gap[k]
			t.in[at] += w
			if s.right[k] {
				t.right[at] += w
			}
		}
	}
	sum := 0.0
	for _, g := range t.gaps {
		sum += math.Abs(g)
	}
	return sum / float64(total*s.columns), total > 0
}

// debiased returns calibrationError minus its expected value due to chance. The frequency in a bin has a normal
// error, which increases the absolute gap on average (the plug-in correction of Kumar, Liang and Ma, arXiv
// 1909.10155, for absolute gaps, with the mean in closed form). It uses the counts of calibrationError.
func (s *scorer) debiased(t *scratch, total int) (float64, bool) {
	sum := 0.0
	for b, g := range t.gaps {
		n := float64(t.in[b])
		if n == 0 {
			continue
		}
		gap, f := math.Abs(g)/n, float64(t.right[b])/n
		larger := gap
		if sd := math.Sqrt(f * (1 - f) / n); sd > 0 {
			larger = sd*math.Sqrt(2/math.Pi)*math.Exp(-gap*gap/(2*sd*sd)) + gap*math.Erf(gap/(sd*math.Sqrt2))
		}
		sum += n * (2*gap - larger)
	}
	return max(0, sum) / float64(total*s.columns), total > 0
}

// area computes AUC for a label.
func (s *scorer) area(label int, weights []int32) (float64, bool) {
	order, labels := s.order[label], s.p.Labels
	var below, wins, positives int64
	for i := 0; i < len(order); {
		var pos, neg int64
		for v := s.p.Prob[int(order[i])*labels+label]; i < len(order); i++ {
			k := int(order[i])*labels + label
			if s.p.Prob[k] != v {
				break
			}
			if s.p.Truth[k] {
				pos += int64(weights[order[i]])
			} else {
				neg += int64(weights[order[i]])
			}
		}
		wins += pos * (2*below + neg)
		below += neg
		positives += pos
	}
	if positives == 0 || below == 0 {
		return 0, false
	}
	return float64(wins) / float64(2*positives*below), true
}
