package experiment

import (
	"slices"

	"melo.example/melo/explain/shortcut"
	"melo.example/melo/metric"
)

// EvaluationDocument is the result of an evaluation: the --json document of "melo eval". Undefined numbers are
// null.
type EvaluationDocument struct {
	Adapter AdapterReference `json:"adapter"`
	Base    string           `json:"base"`
	// BasePrecision is the precision of the base's products: f32, bf16 or int8.
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
	Fit         *FitNumbers        `json:"fit"` // null: the adapter has no description of its training images
	// prediction sets; null: the adapter has no calibration for them, or they were not requested
	Sets *SetNumbers `json:"sets"`
	Gaps []Gap       `json:"subgroup_gaps"`
	// Shortcuts are what a search for them found; null: there was none
	Shortcuts *shortcut.Findings `json:"shortcuts"`

	Bootstrap   Bootstrap     `json:"bootstrap"`
	Predictions string        `json:"predictions,omitempty"`
	Report      string        `json:"report,omitempty"`
	Failed      []FailedImage `json:"failed"`
	Warnings    []string      `json:"warnings"`
	Seconds     float64       `json:"seconds"`
	Notice      string        `json:"notice"`
}

// FitNumbers describes how many images are unlike the training images, and the results for the others.
type FitNumbers struct {
	Unlike      int     `json:"unlike"`       // images without a decision
	Share       float64 `json:"share"`        // fraction of all images
	Threshold   float64 `json:"threshold"`    // images with a higher score are unlike
	Refusal     float64 `json:"refusal"`      // intended fraction for which the threshold was chosen
	MedianScore float64 `json:"median_score"` // over all images
	// results for images with a decision; null if there are none, or all have one
	Like *Numbers `json:"like"`
}

// AdapterReference identifies the adapter.
type AdapterReference struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
}

// FailedImage is an image that could not be read, or has no answer.
type FailedImage struct {
	Image string `json:"image"`
	Error string `json:"error"`
}

// EvaluatedData describes the images.
type EvaluatedData struct {
	Path     string `json:"path"`
	Digest   string `json:"digest"`
	Split    string `json:"split"`
	Rule     string `json:"rule,omitempty"`   // how the data was split
	Training bool   `json:"same_as_training"` // it is the data that the adapter was trained on
}

// Numbers holds the results over all labels.
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
	Approximate []string `json:"approximate_ci"` // names of intervals whose coverage may be off
	// number of resamples in which a result is not defined, by name
	Undefined map[string]int `json:"undefined_resamples"`
}

// ProbabilityNumbers holds the metrics of probabilities, as opposed to decisions.
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

// LabelNumbers holds the results of one label against the rest.
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
	Approximate []string    `json:"approximate_ci"` // names of intervals whose coverage may be off
}

// Rates holds the metrics of the decisions about a label.
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

// Decision describes the decision rule on which accuracy, rates, confusion and the marks in ROC curves are
// based, and what another rule would give.
type Decision struct {
	Rule         string        `json:"rule"` // most probable, threshold, or thresholds (each label by its own)
	Text         string        `json:"text"`
	Alternatives []Alternative `json:"alternatives"`
}

// Alternative is another rule, and its results on the same images.
type Alternative struct {
	Text     string             `json:"text"`
	Accuracy *float64           `json:"accuracy"`
	Balanced *float64           `json:"balanced_accuracy"`
	PerLabel []AlternativeRates `json:"per_label"`
}

// AlternativeRates holds the rates of one label.
type AlternativeRates struct {
	Label       string   `json:"label"`
	Threshold   float64  `json:"threshold"`
	Sensitivity *float64 `json:"sensitivity"`
	Specificity *float64 `json:"specificity"`
}

// Confusion counts decisions.
type Confusion struct {
	Counts   [][]int      `json:"counts,omitempty"` // for exclusive labels: [true label][decided label]
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

// Threshold holds the results of deciding one label by its threshold.
type Threshold struct {
	Label     string  `json:"label"`
	Threshold float64 `json:"threshold"`
	Source    string  `json:"source"` // adapter, or default
	Rates
	AtSpecificity []Point `json:"at_specificity"` // chosen on the curve of these images, so optimistic
	AtSensitivity []Point `json:"at_sensitivity"`
}

// Point is the best point of the ROC curve that satisfies a requirement.
type Point struct {
	Asked       float64  `json:"at_least"`
	Sensitivity float64  `json:"sensitivity"`
	Specificity float64  `json:"specificity"`
	Threshold   *float64 `json:"threshold"` // null: nothing counts as positive
}

// CalibrationNumbers compares probabilities with frequencies.
type CalibrationNumbers struct {
	Temperatures []float64          `json:"temperatures"` // of the adapter: none, one, or one per label
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

// Subgroup holds the results for the images with one value in a column.
type Subgroup struct {
	Column string `json:"column"`
	Value  string `json:"value"`
	Units  int    `json:"units"` // number of units of the bootstrap
	Numbers
	PerLabel []SubgroupLabel `json:"per_label"`
	Small    bool            `json:"small"` // too few images for reliable results
	Reason   string          `json:"reason,omitempty"`
}

// SubgroupLabel is one label within a subgroup.
type SubgroupLabel struct {
	Label       string      `json:"label"`
	Positives   int         `json:"positives"`
	AUC         *float64    `json:"auc"`
	AUCInterval *[2]float64 `json:"auc_ci"`
	Approximate bool        `json:"auc_ci_approximate"` // its coverage may be off
}

// pair returns a number and its interval for a document, nil if not defined.
func pair(e metric.Estimate) (value *float64, interval *[2]float64) {
	if e.Defined {
		value = &e.Value
	}
	if e.Bounded {
		interval = &[2]float64{e.Low, e.High}
	}
	return value, interval
}

// numbersOf converts the results over all labels.
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

// approximateOf names the intervals of a label whose coverage may be off.
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
