package pretrain

import (
	"melo/internal/par"
	"melo/train"
)

// Config is every setting that the result of a run depends on.
type Config struct {
	Width int `json:"width"`
	Depth int `json:"depth"`
	Heads int `json:"heads"`
	MLP   int `json:"mlp"`
	Image int `json:"image"`
	Patch int `json:"patch"`

	Epochs      int               `json:"epochs"`
	Batches     int               `json:"batches"` // of an epoch
	Batch       int               `json:"batch"`
	LR          float64           `json:"lr"`
	Warmup      int               `json:"warmup"` // steps
	Optimizer   train.AdamWConfig `json:"optimizer"`
	LocalWeight float64           `json:"local_weight"`
	Distract    Distract          `json:"distract"`
	Seed        uint64            `json:"seed"`
	Precision   string            `json:"precision"` // of products
}

// Loop returns the training loop, without hooks: there is no validation, and the last parameters are the result.
func (c *Config) Loop(m *Model, d *Data, pool *par.Pool) *train.Loop {
	return &train.Loop{
		Model: m, Data: d, Loss: &Loss{Global: d.Global(), Local: d.Outputs() - d.Global(), LocalWeight: c.LocalWeight}, Epochs: c.Epochs,
		Optimizer: train.NewAdamW(m.Params(), c.Optimizer, pool),
		Schedule:  train.Cosine(c.LR, c.LR/100, c.Warmup, c.Epochs*c.Batches),
	}
}
