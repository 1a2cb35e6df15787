package experiment

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/internal/regular"
	"melo.example/melo/internal/sysinfo"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/train"
)

// record is run.json in a run's folder: settings, inputs and results.
type record struct {
	Format   string            `json:"format"` // "melo-run"
	Version  int               `json:"version"`
	Command  []string          `json:"command"` // arguments of melo
	Program  buildinfo.Program `json:"program"`
	Machine  sysinfo.Machine   `json:"machine"`
	Identity *train.Identity   `json:"identity"`
	Data     Data              `json:"data"`
	Started  string            `json:"started"`            // start of this process, RFC 3339
	Finished string            `json:"finished,omitempty"` // missing: not yet, or interrupted
	Result   *Result           `json:"result,omitempty"`
}

// begin creates the folder of a run and writes its record, which also checks that it is writable.
func (j *Run) begin(start time.Time) error {
	dir := j.o.RunFolder()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("folder for the run: %w", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".melo-*.tmp")); err == nil {
		for _, path := range left { // partial files of a process that was killed
			_ = os.Remove(path)
		}
	}
	if !j.o.Resume {
		if err := removeEvents(dir); err != nil {
			return err
		}
	}
	j.record = record{Format: "melo-run", Version: 1, Command: j.o.Command, Program: buildinfo.This(), Machine: sysinfo.This(),
		Identity: j.id, Data: j.info, Started: start.UTC().Format(time.RFC3339)}
	return j.writeRecord()
}

func (j *Run) writeRecord() error {
	return atomicfile.Write(filepath.Join(j.o.RunFolder(), "run.json"), 0o666, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(&j.record)
	})
}

// maxRecord limits the size of a record in bytes.
const maxRecord = 64 << 20

// earlier returns the record of an earlier process in the run's folder, or nil if there is none that can be
// read.
func (j *Run) earlier() *record {
	f, err := regular.Open(filepath.Join(j.o.RunFolder(), "run.json"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var r record
	dec := json.NewDecoder(io.LimitReader(f, maxRecord))
	dec.UseNumber()
	if dec.Decode(&r) != nil {
		return nil
	}
	return &r
}

// Finished returns the result of the same run if it was done before and its adapter is unchanged, else nil.
func (j *Run) Finished() *Result {
	r := j.earlier()
	if r == nil || r.Result == nil || !reflect.DeepEqual(r.Identity, j.id) {
		return nil
	}
	a, err := adapterfile.Read(j.o.Out)
	if err != nil || a.Digest != r.Result.Adapter.Digest {
		return nil
	}
	return r.Result
}

// OtherRun returns an [OtherRunError] that names the first difference, if the folder contains the record of a
// run with other data or settings.
func (j *Run) OtherRun() error {
	r := j.earlier()
	if r == nil || r.Identity == nil {
		return nil
	}
	if err := r.Identity.Compare(j.id, filepath.Join(j.o.RunFolder(), "run.json")); err != nil {
		return &OtherRunError{err}
	}
	return nil
}

// recordHook writes epochs.jsonl: one line per epoch, as in the checkpoint.
func (j *Run) recordHook() train.Hook {
	path := filepath.Join(j.o.RunFolder(), "epochs.jsonl")
	return train.Hook{Name: "record", Epoch: func(l *train.Loop) error {
		err := atomicfile.Write(path, 0o666, func(w io.Writer) error {
			enc := json.NewEncoder(w)
			for _, e := range l.State.History {
				if err := enc.Encode(e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			j.hook.note(text.OneLine(err))
		}
		return nil
	}}
}
