package experiment

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/lora"
)

// tunable is a setting that a sweep may vary: how to write a value to the options, and how to read it.
type tunable struct {
	name string
	set  func(o *Options, value string) error
	get  func(o *Options) string
}

// tunables lists the settings that can be varied, in the order of the table.
var tunables = []tunable{
	{"method", func(o *Options, v string) error {
		if !slices.Contains([]lora.Method{lora.MeLo, lora.LinearOnly, lora.FullTuning}, lora.Method(v)) {
			return fmt.Errorf("expected melo, linear or full")
		}
		o.Method = lora.Method(v)
		return nil
	}, func(o *Options) string { return string(o.Method) }},
	tuneFloat("lr", func(o *Options) *float64 { return &o.LR }),
	tuneFloat("step", func(o *Options) *float64 { return &o.Step }),
	tuneInt("rank", func(o *Options) *int { return &o.Rank }),
	tuneText("sites", func(o *Options) *string { return &o.Sites }),
	tuneText("blocks", func(o *Options) *string { return &o.Blocks }),
	tuneInt("epochs", func(o *Options) *int { return &o.Epochs }),
	tuneInt("batch", func(o *Options) *int { return &o.Batch }),
	tuneFloat32("alpha", func(o *Options) *float32 { return &o.Alpha }),
	tuneFloat32("dropout", func(o *Options) *float32 { return &o.Dropout }),
	tuneFloat32("lora-plus", func(o *Options) *float32 { return &o.LoRAPlus }),
	tuneFloat("weight-decay", func(o *Options) *float64 { return &o.WeightDecay }),
	tuneFloat("label-smoothing", func(o *Options) *float64 { return &o.LabelSmoothing }),
	tuneFloat("ema", func(o *Options) *float64 { return &o.EMA }),
}

// TryDefault lists the values that are tried for each method by default.
var TryDefault = map[lora.Method][]string{
	lora.MeLo:       {"step=0.5/1/2", "rank=4/16", "sites=q,v/all"},
	lora.LinearOnly: {"lr=0.001/0.003/0.01", "weight-decay=0/0.01/0.1"},
	lora.FullTuning: {"step=0.3/1/3", "weight-decay=0.01/0.1"},
}

// TunableNames lists the settings that can be varied.
func TunableNames() string {
	var names []string
	for _, t := range tunables {
		names = append(names, t.name)
	}
	return strings.Join(names, ", ")
}

func tuneFloat(name string, field func(*Options) *float64) tunable {
	return tunable{name, func(o *Options, v string) (err error) {
		*field(o), err = strconv.ParseFloat(v, 64)
		return plainNumber(err)
	}, func(o *Options) string { return strconv.FormatFloat(*field(o), 'g', -1, 64) }}
}

func tuneFloat32(name string, field func(*Options) *float32) tunable {
	return tunable{name, func(o *Options, v string) error {
		f, err := strconv.ParseFloat(v, 32)
		*field(o) = float32(f)
		return plainNumber(err)
	}, func(o *Options) string { return strconv.FormatFloat(float64(*field(o)), 'g', -1, 32) }}
}

func tuneInt(name string, field func(*Options) *int) tunable {
	return tunable{name, func(o *Options, v string) (err error) {
		*field(o), err = strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("expected a whole number")
		}
		return nil
	}, func(o *Options) string { return strconv.Itoa(*field(o)) }}
}

func tuneText(name string, field func(*Options) *string) tunable {
	return tunable{name, func(o *Options, v string) error {
		*field(o) = v
		return nil
	}, func(o *Options) string { return *field(o) }}
}

func plainNumber(err error) error {
	if err != nil {
		return fmt.Errorf("expected a number")
	}
	return nil
}

// candidate is one combination of values.
type candidate struct {
	o      *Options // with all epochs, without Out and Seed
	values []string // parallel to the settings that are varied
	given  bool     // these are the given settings

	round  int        // last round that it took part in, from 1; 0: none yet
	epochs int        // epochs in that round
	runs   []sweepRun // runs of that round, by seed
}

// tried returns the settings that are varied, in the order of the table, and the values of each.
func (o *SweepOptions) tried() (settings []tunable, values [][]string, err error) {
	list := o.Try
	if len(list) == 0 {
		list = TryDefault[o.Options.Method]
	}
	given := map[string][]string{}
	for _, t := range list {
		name, all, ok := strings.Cut(t, "=")
		known := slices.ContainsFunc(tunables, func(s tunable) bool { return s.name == name })
		if !ok || !known || all == "" {
			return nil, nil, setting("try", "%s, expected NAME=VALUE/VALUE/... of %s", t, TunableNames())
		}
		if _, twice := given[name]; twice {
			return nil, nil, setting("try", "names %s twice", name)
		}
		given[name] = strings.Split(all, "/")
	}
	for _, s := range tunables {
		if v, ok := given[s.name]; ok {
			settings, values = append(settings, s), append(values, v)
		}
	}
	return settings, values, nil
}

// candidates returns every combination, validated, with the given settings first.
func (o *SweepOptions) candidates() ([]*candidate, error) {
	settings, values, err := o.tried()
	if err != nil {
		return nil, err
	}
	n := 1
	for _, v := range values {
		if n *= len(v); n > maxCandidates {
			return nil, setting("try", "makes more than %d candidates", maxCandidates)
		}
	}
	first, err := newCandidate(o.Options, settings, nil)
	if err != nil {
		return nil, err
	}
	first.given = true
	list := []*candidate{first}
	for i := range n {
		chosen, rest := make([]string, len(values)), i
		for k := len(values) - 1; k >= 0; k-- {
			chosen[k], rest = values[k][rest%len(values[k])], rest/len(values[k])
		}
		c, err := newCandidate(o.Options, settings, chosen)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(list, func(have *candidate) bool { return slices.Equal(have.values, c.values) }) {
			list = append(list, c)
		}
	}
	return list, nil
}

// newCandidate applies values to options; nil leaves them unchanged.
func newCandidate(given Options, settings []tunable, values []string) (*candidate, error) {
	o := &given
	for k, v := range values {
		if err := settings[k].set(o, v); err != nil {
			return nil, setting("try", "%s: %s: %s", settings[k].name, v, err)
		}
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	c := &candidate{o: o}
	for _, s := range settings {
		c.values = append(c.values, s.get(o))
	}
	return c, nil
}

// run returns the options of one training of a candidate.
func (c *candidate) run(folder string, settings []tunable, epochs int, seed uint64) *Options {
	o := *c.o
	o.Epochs, o.Seed, o.Resume = epochs, seed, true
	name := ""
	for k, s := range settings {
		if s.name != "epochs" {
			name += s.name + "_" + strings.Map(fileRune, c.values[k]) + "-"
		}
	}
	o.Out = filepath.Join(folder, "runs", fmt.Sprintf("%sepochs_%d-seed_%d.safetensors", name, epochs, seed))
	return &o
}

// fileRune replaces characters that must not occur in a file name.
func fileRune(r rune) rune {
	switch {
	case r == ',':
		return '+'
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '=':
		return r
	}
	return '_'
}
