package experiment

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"

	"melo.example/melo/internal/regular"
	"melo.example/melo/train"
)

// maxEpochLines bounds what is read of a run's epochs.
const maxEpochLines = 1 << 24 // bytes

// Epochs reads epochs.jsonl in a run's folder, or returns nil if it cannot be read.
func Epochs(folder string) []train.Epoch {
	f, err := regular.Open(filepath.Join(folder, "epochs.jsonl"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var list []train.Epoch
	lines := bufio.NewScanner(io.LimitReader(f, maxEpochLines))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e train.Epoch
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			return nil
		}
		list = append(list, e)
	}
	return list
}

// BestEpoch returns the epoch that a run kept, if the record beside the adapter belongs to this very file.
func BestEpoch(adapter, digest string) (best int, ok bool) {
	data, err := regular.ReadFile(filepath.Join(RunFolderOf(adapter), "run.json"), maxRecord)
	var r struct {
		Result struct {
			Adapter struct{ Digest string }
			Best    int `json:"best_epoch"`
		}
	}
	if err != nil || len(data) > maxRecord || json.Unmarshal(data, &r) != nil || r.Result.Adapter.Digest != digest {
		return 0, false
	}
	return r.Result.Best, true
}
