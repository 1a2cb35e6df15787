package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"melo/internal/ui"
	"melo/safetensors"
	"melo/train/pretrain"
	"melo/vit"
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

func (d *pretrainDocument) print(s *stdio) {
	last := d.Epochs[len(d.Epochs)-1]
	s.printf("%d epochs, %s images, loss %.4f", len(d.Epochs), ui.Count(int64(last.Images)), last.Loss)
	s.printf("digest %s", d.Digest)
}

// readPretrainRecord reads pretrain.json.
func readPretrainRecord(path string) (*pretrainDocument, error) {
	f, err := os.Open(path)
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
func digestOfWeights(x *vit.Exported, meta map[string]string) (string, error) {
	h := sha256.New()
	if err := safetensors.Write(h, x.Tensors, meta); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
