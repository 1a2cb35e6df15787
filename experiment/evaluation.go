package experiment

import (
	"slices"

	"melo.example/melo/metric"
)

// EvaluationDocument is what came of an evaluation: the --json document of "melo eval". Numbers that the images do not define are null.
type EvaluationDocument struct {
	Adapter AdapterReference `json:"adapter"`
	Base    string           `json:"base"`
	// BasePrecision is that of the base's products, in which the answers were computed: f32, bf16 or int8.
	BasePrecision string        `json:"base_precision"`
	Data          EvaluatedData `json:"data"`
	Task          string        `json:"task"`
	Labels        []string      `json:"labels"`

	Numbers
	PerLabel    []LabelNumbers     `json:"per_label"`
	Decision    Decision           `json:"decision"`
	Confusion   Confusion          `json:"confusion"`
	Thresholds  []Threshold        `json:"thresholds"`
	Calibration CalibrationNumbers `json:"calibration"`
	Utility     []Utility          `json:"utility"`
	Patients    []Patients         `json:"patients"`
	Subgroups   []Subgroup         `json:"subgroups"`
	Fit         *FitNumbers        `json:"fit"`  // null: the adapter does not know its training images
	Sets        *SetNumbers        `json:"sets"` // prediction sets; null: the adapter makes none, or none are asked for
	Gaps        []Gap              `json:"subgroup_gaps"`

	Bootstrap   Bootstrap     `json:"bootstrap"`
	Predictions string        `json:"predictions,omitempty"`
	Report      string        `json:"report,omitempty"`
	Failed      []FailedImage `json:"failed"`
	Warnings    []string      `json:"warnings"`
	Seconds     float64       `json:"seconds"`
	Notice      string        `json:"notice"`
}

// FitNumbers say how many of the images are unlike those of the training, and what the others come to.
type FitNumbers struct {
	Unlike      int      `json:"unlike"`       // images that nothing is decided about
	Share       float64  `json:"share"`        // of all
	Threshold   float64  `json:"threshold"`    // scores above it are unlike
	Refusal     float64  `json:"refusal"`      // the share that the threshold was chosen for
	MedianScore float64  `json:"median_score"` // of all images
	Like        *Numbers `json:"like"`         // of the images that are decided about; null if there is none, or all are
}

// AdapterReference names the adapter that answered.
type AdapterReference struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
}

// FailedImage is an image that could not be read, or not be answered for.
type FailedImage struct {
	Image string `json:"image"`
	Error string `json:"error"`
}

// EvaluatedData is what was evaluated on.
type EvaluatedData struct {
	Path     string `json:"path"`
	Digest   string `json:"digest"`
	Split    string `json:"split"`
	Rule     string `json:"rule,omitempty"`   // how the data was split
	Training bool   `json:"same_as_training"` // the data that the adapter was trained on
}

// Numbers judge over all labels.
type Numbers struct {
	N                int         `json:"n"`
	AUC              *float64    `json:"auc"`
	AUCInterval      *[2]float64 `json:"auc_ci"`
	Accuracy         *float64    `json:"accuracy"`
	AccuracyInterval *[2]float64 `json:"accuracy_ci"`
	Balanced         *float64    `json:"balanced_accuracy"`
	BalancedInterval *[2]float64 `json:"balanced_accuracy_ci"`
	F1               *float64    `json:"f1"`
	F1Interval       *[2]float64 `json:"f1_ci"`
	ProbabilityNumbers
	Approximate []string       `json:"approximate_ci"`      // names of intervals that may miss their level
	Undefined   map[string]int `json:"undefined_resamples"` // by name, of what some resamples did not define
}

// ProbabilityNumbers judge probabilities rather than decisions.
type ProbabilityNumbers struct {
	ECE             *float64    `json:"ece"`
	ECEInterval     *[2]float64 `json:"ece_ci"`
	Debiased        *float64    `json:"ece_debiased"`
	DebiasedRange   *[2]float64 `json:"ece_debiased_ci"`
	Brier           *float64    `json:"brier"`
	BrierInterval   *[2]float64 `json:"brier_ci"`
	LogLoss         *float64    `json:"log_loss"`
	LogLossInterval *[2]float64 `json:"log_loss_ci"`
}

// LabelNumbers judges one label against the rest.
type LabelNumbers struct {
	Label            string      `json:"label"`
	Positives        int         `json:"positives"`
	Negatives        int         `json:"negatives"`
	AUC              *float64    `json:"auc"`
	AUCInterval      *[2]float64 `json:"auc_ci"`
	DeLong           *[2]float64 `json:"auc_delong_ci"`
	AveragePrecision *float64    `json:"average_precision"`
	Rates
	F1          *float64    `json:"f1"`
	F1Interval  *[2]float64 `json:"f1_ci"`
	Approximate []string    `json:"approximate_ci"` // names of intervals that may miss their level
}

// Rates are about decisions for and against a label.
type Rates struct {
	Sensitivity               *float64    `json:"sensitivity"`
	SensitivityInterval       *[2]float64 `json:"sensitivity_ci"`
	Specificity               *float64    `json:"specificity"`
	SpecificityInterval       *[2]float64 `json:"specificity_ci"`
	Precision                 *float64    `json:"precision"`
	PrecisionInterval         *[2]float64 `json:"precision_ci"`
	NegativePrecision         *float64    `json:"negative_precision"`
	NegativePrecisionInterval *[2]float64 `json:"negative_precision_ci"`
}

// Decision says by which rule the decisions were made that accuracy, rates, confusion and the marks in ROC curves count, and what
// another rule would give.
type Decision struct {
	Rule         string        `json:"rule"` // most probable, threshold, or thresholds (each label by its own)
	Text         string        `json:"text"`
	Alternatives []Alternative `json:"alternatives"`
}

// Alternative is another rule, and what it gives on the same images.
type Alternative struct {
	Text     string             `json:"text"`
	Accuracy *float64           `json:"accuracy"`
	Balanced *float64           `json:"balanced_accuracy"`
	PerLabel []AlternativeRates `json:"per_label"`
}

// AlternativeRates are about the decisions for and against a label.
type AlternativeRates struct {
	Label       string   `json:"label"`
	Threshold   float64  `json:"threshold"`
	Sensitivity *float64 `json:"sensitivity"`
	Specificity *float64 `json:"specificity"`
}

// Confusion counts decisions.
type Confusion struct {
	Counts   [][]int      `json:"counts,omitempty"` // of exclusive labels: [true label][decided label]
	PerLabel []LabelCount `json:"per_label"`
}

// LabelCount counts the decisions about one label.
type LabelCount struct {
	Label string `json:"label"`
	TP    int    `json:"tp"`
	FP    int    `json:"fp"`
	TN    int    `json:"tn"`
	FN    int    `json:"fn"`
}

// Threshold judges the decisions about one label by its threshold alone.
type Threshold struct {
	Label     string  `json:"label"`
	Threshold float64 `json:"threshold"`
	Source    string  `json:"source"` // adapter, or default
	Rates
	AtSpecificity []Point `json:"at_specificity"` // read off the curve of these images: optimistic
	AtSensitivity []Point `json:"at_sensitivity"`
}

// Point is the best point of the ROC curve that reaches what is asked for.
type Point struct {
	Asked       float64  `json:"at_least"`
	Sensitivity float64  `json:"sensitivity"`
	Specificity float64  `json:"specificity"`
	Threshold   *float64 `json:"threshold"` // null: nothing counts as positive
}

// CalibrationNumbers compares probabilities with frequencies.
type CalibrationNumbers struct {
	Temperatures []float64          `json:"temperatures"` // of the adapter: none, one, or one a label
	Calibrated   ProbabilityNumbers `json:"calibrated"`
	Uncalibrated ProbabilityNumbers `json:"uncalibrated"`
	Bins         []Bin              `json:"bins"`
	RawBins      []Bin              `json:"uncalibrated_bins"`
}

// Bin is one bar of a reliability diagram.
type Bin struct {
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	N          int     `json:"n"`
	Confidence float64 `json:"confidence"`
	Frequency  float64 `json:"frequency"`
}

// Subgroup judges the images with one value in a column.
type Subgroup struct {
	Column string `json:"column"`
	Value  string `json:"value"`
	Units  int    `json:"units"` // drawn for the intervals
	Numbers
	PerLabel []SubgroupLabel `json:"per_label"`
	Small    bool            `json:"small"` // too few images to rely on
	Reason   string          `json:"reason,omitempty"`
}

// SubgroupLabel is one label within a subgroup.
type SubgroupLabel struct {
	Label       string      `json:"label"`
	Positives   int         `json:"positives"`
	AUC         *float64    `json:"auc"`
	AUCInterval *[2]float64 `json:"auc_ci"`
	Approximate bool        `json:"auc_ci_approximate"` // it may miss its level
}

// pair returns a number and its interval for a document, nil where they are not defined.
func pair(e metric.Estimate) (value *float64, interval *[2]float64) {
	if e.Defined {
		value = &e.Value
	}
	if e.Bounded {
		interval = &[2]float64{e.Low, e.High}
	}
	return value, interval
}

// numbersOf fills in the numbers over all labels.
func numbersOf(n *metric.Numbers, samples int) Numbers {
	d := Numbers{N: samples, ProbabilityNumbers: probabilitiesOf(n), Undefined: map[string]int{}, Approximate: []string{}}
	d.AUC, d.AUCInterval = pair(n.AUC)
	d.Accuracy, d.AccuracyInterval = pair(n.Accuracy)
	d.Balanced, d.BalancedInterval = pair(n.BalancedAccuracy)
	d.F1, d.F1Interval = pair(n.F1)
	for name, e := range map[string]metric.Estimate{"auc": n.AUC, "accuracy": n.Accuracy, "balanced_accuracy": n.BalancedAccuracy,
		"f1": n.F1, "ece": n.ECE, "ece_debiased": n.ECEDebiased, "brier": n.Brier, "log_loss": n.LogLoss} {
		if e.Undefined > 0 {
			d.Undefined[name] = e.Undefined
		}
		if e.Approximate {
			d.Approximate = append(d.Approximate, name)
		}
	}
	slices.Sort(d.Approximate)
	return d
}

func probabilitiesOf(n *metric.Numbers) (d ProbabilityNumbers) {
	d.ECE, d.ECEInterval = pair(n.ECE)
	d.Debiased, d.DebiasedRange = pair(n.ECEDebiased)
	d.Brier, d.BrierInterval = pair(n.Brier)
	d.LogLoss, d.LogLossInterval = pair(n.LogLoss)
	return d
}

// approximateOf names the intervals of a label that may miss their level.
func approximateOf(n *metric.LabelNumbers) []string {
	r, list := &n.Decided, []string{}
	for _, x := range []struct {
		name string
		e    *metric.Estimate
	}{{"auc", &n.AUC}, {"f1", &r.F1}, {"negative_precision", &r.NegativePrecision}, {"precision", &r.Precision},
		{"sensitivity", &r.Sensitivity}, {"specificity", &r.Specificity}} {
		if x.e.Approximate {
			list = append(list, x.name)
		}
	}
	return list
}

func ratesOf(r *metric.Rates) (d Rates) {
	d.Sensitivity, d.SensitivityInterval = pair(r.Sensitivity)
	d.Specificity, d.SpecificityInterval = pair(r.Specificity)
	d.Precision, d.PrecisionInterval = pair(r.Precision)
	d.NegativePrecision, d.NegativePrecisionInterval = pair(r.NegativePrecision)
	return d
}
