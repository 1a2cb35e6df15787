package experiment

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// SweepOptions configures a sweep. The given options are always one of the candidates.
type SweepOptions struct {
	Options        // without Out, Seed, Folder and Title, which the sweep sets
	Folder  string // folder for the runs and the table

	Try []string // NAME=VALUE/VALUE/... for each setting of [TunableNames] to vary; empty: [TryDefault]
	// halving: rounds with increasing numbers of epochs, of each of which the best continue; grid: all with all
	// epochs
	Search string
	Eta    int // with halving: one of Eta candidates continues, with Eta times the epochs
	Seeds  int // runs per candidate, with seeds 1, 2 and so on; their mean counts
}

// Limits of a sweep, so that a typing error does not start years of computation.
const (
	maxSweepSeeds = 100
	maxCandidates = 10_000
)

// Validate returns a [SettingError] for invalid settings, including those to try.
func (o *SweepOptions) Validate() error {
	switch {
	case o.Eta < 2 || o.Eta > 100:
		return setting("eta", "%d, expected 2 to 100", o.Eta)
	case o.Seeds < 1 || o.Seeds > maxSweepSeeds:
		return setting("seeds", "%d, expected 1 to %d", o.Seeds, maxSweepSeeds)
	case o.Search != "halving" && o.Search != "grid":
		return setting("search", "%s, expected halving or grid", o.Search)
	case o.Folds != 0:
		return setting("folds", "%d: candidates are compared on one validation split; give none", o.Folds)
	case o.ValSplit == 0:
		return setting("val-split", "0: candidates are compared on validation")
	}
	_, err := o.candidates()
	return err
}

// Sweep trains candidates on a base and data, and ranks them by validation AUC. Runs that are already done are
// not repeated. It also writes the table to the folder.
func Sweep(ctx context.Context, o *SweepOptions, base *Base, set *Set, hook Hook) (*SweepResult, error) {
	start := time.Now()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(o.Folder, "runs"), 0o777); err != nil {
		return nil, fmt.Errorf("folder for the sweep: %w", err)
	}
	j := &sweep{o: o, hook: hook, base: base, set: set}
	var err error
	if j.candidates, err = o.candidates(); err != nil {
		return nil, err
	}
	if err := j.search(ctx); err != nil {
		return nil, err
	}
	return j.document(start), nil
}
