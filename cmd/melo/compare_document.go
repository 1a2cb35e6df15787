package main

// compareDocument is the --json document of "melo compare", and compare.json in its folder. Numbers that the images do
// not define are null.
type compareDocument struct {
	Base        string              `json:"base"`
	Data        trainData           `json:"data"`
	Seeds       []uint64            `json:"seeds"`
	Methods     []compareMethod     `json:"methods"`
	Differences []compareDifference `json:"differences"`
	Bootstrap   bootstrapDocument   `json:"bootstrap"`
	Folder      string              `json:"folder"`
	Warnings    []string            `json:"warnings"`
	Seconds     float64             `json:"seconds"`
	Notice      string              `json:"notice"`
}

// compareMethod is what came of one method: means over its runs.
type compareMethod struct {
	Method          string       `json:"method"`
	Params          trainedShare `json:"parameters"`
	Bytes           int64        `json:"bytes"` // of the largest adapter
	SecondsPerEpoch float64      `json:"seconds_per_epoch"`
	Epochs          float64      `json:"epochs"`
	PeakMemory      int64        `json:"peak_memory_bytes"` // the largest
	evalNumbers
	AUCDeviation *float64             `json:"auc_sd"` // over seeds
	Uncalibrated evalProbabilities    `json:"uncalibrated"`
	PerLabel     []evalSubgroupLabel  `json:"per_label"`
	Runs         []compareRunDocument `json:"runs"`
	Settings     trainConfig          `json:"settings"` // of the first run
}

// compareRunDocument is one run.
type compareRunDocument struct {
	Seed            uint64           `json:"seed"`
	Adapter         adapterReference `json:"adapter"`
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

// compareDifference is the first method less the second.
type compareDifference struct {
	First    string        `json:"first"`
	Second   string        `json:"second"`
	AUC      compareNumber `json:"auc"`
	Accuracy compareNumber `json:"accuracy"`
	Balanced compareNumber `json:"balanced_accuracy"`
	F1       compareNumber `json:"f1"`
	ECE      compareNumber `json:"ece"`
	Brier    compareNumber `json:"brier"`
	LogLoss  compareNumber `json:"log_loss"`
}

// compareNumber is a difference with its interval and the p-value of there being none.
type compareNumber struct {
	Difference *float64    `json:"difference"`
	Interval   *[2]float64 `json:"difference_ci"`
	P          *float64    `json:"p"`
}

// bootstrapDocument says how intervals were found.
type bootstrapDocument struct {
	Level     float64 `json:"level"`
	Resamples int     `json:"resamples"`
	Seed      uint64  `json:"seed"`
	Unit      string  `json:"unit"` // image or group
	Units     int     `json:"units"`
}
