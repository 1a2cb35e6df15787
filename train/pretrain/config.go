package pretrain

import (
	"melo.example/melo/compute"
	"melo.example/melo/train"
)

// Config is every setting that the result of a run depends on, but for the number of epochs.
type Config struct {
	Width int `json:"width"`
	Depth int `json:"depth"`
	Heads int `json:"heads"`
	MLP   int `json:"mlp"`
	Image int `json:"image"`
	Patch int `json:"patch"`

	Batches     int               `json:"batches"` // of an epoch
	Batch       int               `json:"batch"`
	LR          float64           `json:"lr"`
	Warmup      int               `json:"warmup"`  // steps
	Average     float64           `json:"average"` // greatest decay a step of the average that is the result
	Optimizer   train.AdamWConfig `json:"optimizer"`
	LocalWeight float64           `json:"local_weight"`
	Distract    Distract          `json:"distract"`
	Seed        uint64            `json:"seed"`
	Precision   string            `json:"precision"` // of products
}

// Loop returns the training loop, without hooks: there is no validation, the rate stays what it is, and the average of
// the parameters is the result. So a run of fewer epochs is the beginning of a longer one.
func (c *Config) Loop(m *Model, d *Data, workers compute.Workers, epochs int) (*train.Loop, error) {
	average, err := train.NewAverage(m.Params(), c.Average, workers)
	if err != nil {
		return nil, err
	}
	return &train.Loop{
		Average: average,
		Model:   m, Data: d, Loss: &Loss{Global: d.Global(), Local: d.Outputs() - d.Global(), LocalWeight: c.LocalWeight}, Epochs: epochs,
		Optimizer: train.NewAdamW(m.Params(), c.Optimizer, workers),
		Schedule:  train.Constant(c.LR, c.Warmup),
	}, nil
}
