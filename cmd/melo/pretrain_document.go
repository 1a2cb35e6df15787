package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/regular"
	"melo.example/melo/internal/text"
	"melo.example/melo/report/plot"
	"melo.example/melo/safetensors"
	"melo.example/melo/train/pretrain"
	"melo.example/melo/vit/checkpoint"
)

// pretrainRecord is the name of the record in the folder of a base.
const pretrainRecord = "pretrain.json"

// pretrainDocument is the --json document of "melo pretrain", and pretrain.json in the folder of the base.
type pretrainDocument struct {
	Config  pretrain.Config `json:"config"`
	Program string          `json:"program"` // version of melo
	Digest  string          `json:"digest"`  // of the weights
	Epochs  []pretrainEpoch `json:"epochs"`
}

// pretrainEpoch is what is recorded of one epoch.
type pretrainEpoch struct {
	Epoch  int                `json:"epoch"`            // counted from 1
	Images int                `json:"images"`           // seen until its end
	Loss   float64            `json:"loss"`             // mean over its images, while they were trained on
	Probes map[string]float64 `json:"probes,omitempty"` // AUC of a linear probe on each data set
}

func (d *pretrainDocument) write(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(d)
}

// draw writes the curves of the run into a folder: the loss and, where there are any, the probes.
func (d *pretrainDocument) draw(dir string) error {
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

func (d *pretrainDocument) print(s *stdio) {
	last := d.Epochs[len(d.Epochs)-1]
	s.printf("%s, %s images, loss %.4f", text.Plural(len(d.Epochs), "epoch", "epochs"), text.Count(int64(last.Images)), last.Loss)
	s.printf("sha256 %s", hexOf(d.Digest))
}

// maxRecord bounds what is read of a record, in bytes.
const maxRecord = 64 << 20

// readPretrainRecord reads pretrain.json.
func readPretrainRecord(path string) (*pretrainDocument, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var d pretrainDocument
	if err := json.NewDecoder(io.LimitReader(f, maxRecord)).Decode(&d); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &d, nil
}

// digestOfWeights is the digest of the file that the weights will be.
func digestOfWeights(x *checkpoint.Exported, meta map[string]string) (string, error) {
	h := sha256.New()
	if err := safetensors.Write(h, x.Tensors, meta); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
