package pretrain

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/regular"
	"melo.example/melo/report/plot"
)

// RecordName is the name of the record in the folder of a base.
const RecordName = "pretrain.json"

// Record is what a run did: pretrain.json in the folder of the base, and the --json document of "melo pretrain".
type Record struct {
	Config  Config  `json:"config"`
	Program string  `json:"program"` // version of melo
	Digest  string  `json:"digest"`  // of the weights
	Epochs  []Epoch `json:"epochs"`
}

// Epoch is what is recorded of one epoch.
type Epoch struct {
	Epoch  int                `json:"epoch"`            // counted from 1
	Images int                `json:"images"`           // seen until its end
	Loss   float64            `json:"loss"`             // mean over its images, while they were trained on
	Probes map[string]float64 `json:"probes,omitempty"` // AUC of a linear probe on each data set
}

// text is the record as it is written.
func (d *Record) text() ([]byte, error) {
	text, err := json.MarshalIndent(d, "", "  ")
	return append(text, '\n'), err
}

// draw writes the curves of the run into a folder: the loss and, where there are any, the probes.
func (d *Record) draw(dir string) error {
	x := plot.Axis{Label: "images drawn", Whole: true}
	loss := &plot.Figure{Title: "Loss", X: x, Y: plot.Axis{Label: "loss"}, Series: []plot.Series{{}}}
	probes := &plot.Figure{Title: "Linear probes", X: x, Y: plot.Axis{Label: "AUC"}}
	at := map[string]int{} // number of a probe's series
	for _, e := range d.Epochs {
		images := float64(e.Images)
		s := &loss.Series[0]
		s.X, s.Y = append(s.X, images), append(s.Y, e.Loss)
		for _, name := range slices.Sorted(maps.Keys(e.Probes)) {
			k, ok := at[name]
			if !ok {
				k = len(probes.Series)
				at[name] = k
				probes.Series = append(probes.Series, plot.Series{Name: name})
			}
			s := &probes.Series[k]
			s.X, s.Y = append(s.X, images), append(s.Y, e.Probes[name])
		}
	}
	if err := atomicfile.Write(filepath.Join(dir, "loss.svg"), 0o666, loss.WriteSVG); err != nil || len(at) == 0 {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, "probes.svg"), 0o666, probes.WriteSVG)
}

// maxRecord bounds what is read of a record, in bytes.
const maxRecord = 64 << 20

// ReadRecord reads pretrain.json.
func ReadRecord(path string) (*Record, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var d Record
	if err := json.NewDecoder(io.LimitReader(f, maxRecord)).Decode(&d); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &d, nil
}
