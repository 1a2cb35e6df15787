package metric

// Estimate is a measured number with its confidence interval. What is not defined is 0.
type Estimate struct {
	Value     float64
	Defined   bool // the samples define the number
	Low, High float64
	Bounded   bool // there is an interval
	// Approximate says that the interval may cover less often, or more often, than its level: there are fewer than
	// EnoughImages images or EnoughGroups patients on one side of it, or it is of a kind for which nothing better is known (ECE).
	Approximate bool
	// Undefined counts the resamples that do not define the number, because a class is missing, say. The
	// interval is that of the others.
	Undefined int
	// P is, of the difference between two predictions, the two-sided p-value of there being none; else 0.
	P float64
}

// Numbers judge predictions: over all labels, and each label.
type Numbers struct {
	AUC, Accuracy, BalancedAccuracy, F1 Estimate // AUC and F1: means over labels
	ECE, Brier, LogLoss                 Estimate
	ECEDebiased                         Estimate // ECE less what chance adds to it
	Labels                              []LabelNumbers
}

// LabelNumbers judge the predictions of one label against the rest.
type LabelNumbers struct {
	AUC Estimate
	// Decided is about the decisions that Accuracy counts, At about those by the label's threshold. They differ
	// for exclusive labels only.
	Decided, At Rates
}

// Rates are about the decisions for and against one label.
type Rates struct {
	Sensitivity, Specificity, Precision, NegativePrecision, F1 Estimate
}

// newNumbers makes room for the numbers of labels.
func newNumbers(labels int) *Numbers { return &Numbers{Labels: make([]LabelNumbers, labels)} }

// list returns the places of all numbers, in the order in which a scorer computes them.
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
