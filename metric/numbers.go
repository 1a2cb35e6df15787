package metric

// Estimate is a metric with its confidence interval. Undefined fields are 0.
type Estimate struct {
	Value     float64
	Defined   bool // whether the samples define the metric
	Low, High float64
	Bounded   bool // whether there is an interval
	// Approximate says that the coverage of the interval may differ from its level: there are fewer than
	// EnoughImages images or EnoughGroups patients on one side of it, or no better method is known (ECE).
	Approximate bool
	// Undefined counts the resamples that do not define the metric, for example because a class is missing. The
	// interval is based on the others.
	Undefined int
	// P is, for a difference between two predictions, the two-sided p-value of no difference; else 0.
	P float64
}

// Numbers holds the metrics of predictions: over all labels, and for each label.
type Numbers struct {
	AUC, Accuracy, BalancedAccuracy, F1 Estimate // AUC and F1: means over labels
	ECE, Brier, LogLoss                 Estimate
	ECEDebiased                         Estimate // ECE minus its expected value due to chance
	Labels                              []LabelNumbers
}

// LabelNumbers holds the metrics of one label against the rest.
type LabelNumbers struct {
	AUC Estimate
	// Decided refers to the decisions that Accuracy counts, At to those by the label's threshold. They differ
	// only for exclusive labels.
	Decided, At Rates
}

// Rates holds the metrics of the decisions about one label.
type Rates struct {
	Sensitivity, Specificity, Precision, NegativePrecision, F1 Estimate
}

// newNumbers allocates Numbers for a number of labels.
func newNumbers(labels int) *Numbers { return &Numbers{Labels: make([]LabelNumbers, labels)} }

// list returns pointers to all metrics, in the order in which a scorer computes them.
func (n *Numbers) list() []*Estimate {
	all := []*Estimate{&n.AUC, &n.Accuracy, &n.BalancedAccuracy, &n.F1, &n.ECE, &n.ECEDebiased, &n.Brier, &n.LogLoss}
	for i := range n.Labels {
		l := &n.Labels[i]
		all = append(all, &l.AUC)
		for _, r := range []*Rates{&l.Decided, &l.At} {
			all = append(all, &r.Sensitivity, &r.Specificity, &r.Precision, &r.NegativePrecision, &r.F1)
		}
	}
	return all
}
