package experiment

// ComparisonDocument is the result of a comparison: the --json document of "melo compare", and compare.json in
// its folder. Undefined numbers are null.
type ComparisonDocument struct {
	Base string `json:"base"`
	// BasePrecision is the precision of the base's products during testing.
	BasePrecision string   `json:"base_precision"`
	Data          Data     `json:"data"`
	Seeds         []uint64 `json:"seeds"`
	// per repeat, whose seeds are Seeds; missing: a single test split
	Folds       int            `json:"folds,omitempty"`
	Methods     []MethodResult `json:"methods"`
	Differences []Difference   `json:"differences"`
	Bootstrap   Bootstrap      `json:"bootstrap"`
	Folder      string         `json:"folder"`
	Warnings    []string       `json:"warnings"`
	Seconds     float64        `json:"seconds"`
	Notice      string         `json:"notice"`
}

// MethodResult is the result of one method: means over its runs.
type MethodResult struct {
	Method          string     `json:"method"`
	Params          Parameters `json:"parameters"`
	Bytes           int64      `json:"bytes"` // size of the largest adapter
	SecondsPerEpoch float64    `json:"seconds_per_epoch"`
	Epochs          float64    `json:"epochs"`
	PeakMemory      int64      `json:"peak_memory_bytes"` // of the run with most memory
	Numbers
	AUCDeviation *float64           `json:"auc_sd"`             // standard deviation over seeds, or repeats
	PerFold      *FoldSpread        `json:"per_fold,omitempty"` // missing: no folds
	Uncalibrated ProbabilityNumbers `json:"uncalibrated"`
	PerLabel     []SubgroupLabel    `json:"per_label"`
	Runs         []RunResult        `json:"runs"`
	Settings     Config             `json:"settings"` // of the first run
}

// RunResult is the result of one run.
type RunResult struct {
	Seed            uint64           `json:"seed"`
	Fold            int              `json:"fold,omitempty"` // held-out fold, from 1
	Adapter         AdapterReference `json:"adapter"`
	Bytes           int64            `json:"bytes"`
	Epochs          int              `json:"epochs"`
	BestEpoch       int              `json:"best_epoch"`
	Seconds         float64          `json:"seconds"`
	SecondsPerEpoch float64          `json:"seconds_per_epoch"`
	PeakMemory      int64            `json:"peak_memory_bytes"`
	ValidationAUC   *float64         `json:"validation_auc"`
	AUC             *float64         `json:"auc"`
	Accuracy        *float64         `json:"accuracy"`
	ECE             *float64         `json:"ece"`
	UncalibratedECE *float64         `json:"uncalibrated_ece"`
}

// Difference is the first method minus the second.
type Difference struct {
	First    string           `json:"first"`
	Second   string           `json:"second"`
	AUC      DifferenceNumber `json:"auc"`
	Accuracy DifferenceNumber `json:"accuracy"`
	Balanced DifferenceNumber `json:"balanced_accuracy"`
	F1       DifferenceNumber `json:"f1"`
	ECE      DifferenceNumber `json:"ece"`
	Brier    DifferenceNumber `json:"brier"`
	LogLoss  DifferenceNumber `json:"log_loss"`

	OverSeeds bool    `json:"over_seeds"` // intervals and p-values include variation between seeds
	Margin    float64 `json:"margin"`
	// p-value of the AUC of the first being lower by the margin or more
	NotInferior *float64          `json:"not_inferior_p"`
	PerLabel    []LabelDifference `json:"per_label"`
	// of the AUCs of folds, by the corrected t-test; missing: no folds
	PerFold *DifferenceNumber `json:"per_fold,omitempty"`
}

// FoldSpread is the spread of the AUCs of folds in which it is defined.
type FoldSpread struct {
	Folds     int      `json:"folds"`
	Mean      *float64 `json:"mean"`
	Deviation *float64 `json:"sd"`
	Least     *float64 `json:"least"`
	Greatest  *float64 `json:"greatest"`
}

// LabelDifference is the difference between the AUCs of one label.
type LabelDifference struct {
	Label string           `json:"label"`
	AUC   DifferenceNumber `json:"auc"`
	Holm  *float64         `json:"p_holm"` // p adjusted for the number of labels
}

// DifferenceNumber is a difference with its interval and p-value.
type DifferenceNumber struct {
	Difference *float64    `json:"difference"`
	Interval   *[2]float64 `json:"difference_ci"`
	P          *float64    `json:"p"`
}

// Bootstrap describes how intervals were computed.
type Bootstrap struct {
	Level     float64 `json:"level"`
	Resamples int     `json:"resamples"`
	Seed      uint64  `json:"seed"`
	Unit      string  `json:"unit"` // image or group
	Units     int     `json:"units"`
}
