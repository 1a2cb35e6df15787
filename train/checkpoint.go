package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"melo.example/melo/safetensors"
)

// Identity is what a checkpoint belongs to. A run resumes only from a checkpoint with the same identity.
type Identity struct {
	Base   string         `json:"base"`   // digest of the base's weights
	Data   string         `json:"data"`   // digest of the images and labels
	Split  string         `json:"split"`  // digest of the assignment of samples to training and validation
	Config map[string]any `json:"config"` // every setting that the result depends on
}

// A checkpoint is a safetensors file. For each parameter it holds "param.NAME", "m.NAME" and "v.NAME" (the
// optimizer's moments), with an Average "average.NAME", once there is a best epoch "best.NAME", and, within an
// epoch to whose start the run may return, "mark.NAME", "mark.m.NAME" and so on. Its metadata holds a JSON
// document under this key.
const checkpointKey = "melo-checkpoint"

const (
	checkpointVersion = 1
	maxCheckpointMeta = 16 << 20 // bytes of the JSON document
)

// checkpointMeta is the JSON document.
type checkpointMeta struct {
	Version  int      `json:"version"`
	Identity Identity `json:"identity"`
	State    State    `json:"state"`
}

// MismatchError reports that a checkpoint belongs to another run.
type MismatchError struct {
	Path        string
	What        string // what differs
	Want, Found string // value of this run, and of the checkpoint
}

// Error names the file, what differs, and both values.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("train: %s: of another run: %s: expected %s, found %s", e.Path, e.What, e.Want, e.Found)
}

// Save writes a checkpoint at path, atomically. It returns an error if a value is not finite, so that a
// diverged run does not replace an earlier checkpoint.
func (l *Loop) Save(path string, id *Identity) error {
	text, err := json.Marshal(checkpointMeta{checkpointVersion, *id, l.State})
	if err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	var tensors []safetensors.TensorData
	err = l.eachTensor(l.best != nil, l.marked(), func(name string, shape []int, values []float32) error {
		if err := checkFinite(name, values); err != nil {
			return fmt.Errorf("train: checkpoint: %w", err)
		}
		t, err := safetensors.FromFloat32s(name, safetensors.F32, shape, values)
		tensors = append(tensors, t)
		return err
	})
	if err != nil {
		return err
	}
	return safetensors.WriteFile(path, 0o666, tensors, map[string]string{checkpointKey: string(text)})
}

// eachTensor visits every tensor of a checkpoint.
func (l *Loop) eachTensor(best, mark bool, visit func(name string, shape []int, values []float32) error) error {
	for i, p := range l.Model.Params() {
		type kind struct {
			prefix string
			values []float32
		}
		kinds := []kind{{"param.", p.Data}, {"m.", l.Optimizer.m[i]}, {"v.", l.Optimizer.v[i]}}
		if l.Average != nil {
			kinds = append(kinds, kind{"average.", l.Average.data[i]})
		}
		if best {
			kinds = append(kinds, kind{"best.", l.best[i]})
		}
		if mark {
			kinds = append(kinds, kind{"mark.", l.mark.params[i]}, kind{"mark.m.", l.mark.m[i]}, kind{"mark.v.", l.mark.v[i]})
			if l.Average != nil {
				kinds = append(kinds, kind{"mark.average.", l.mark.average[i]})
			}
		}
		for _, k := range kinds {
			if err := visit(k.prefix+p.Name, p.Shape, k.values); err != nil {
				return err
			}
		}
	}
	return nil
}

// marked reports whether the run is within an epoch to whose start it may return.
func (l *Loop) marked() bool { return l.mark != nil && l.State.Batch > 0 }

// Resume restores the state saved in the checkpoint at path. The error is a *MismatchError if the checkpoint
// belongs to another run. After an error the loop must not be run.
func (l *Loop) Resume(path string, id *Identity) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	err = safetensors.Guard(path, func() error { return l.resume(f, path, id) })
	var mismatch *MismatchError
	if err != nil && !errors.As(err, &mismatch) {
		err = fmt.Errorf("train: %s: %w", path, err)
	}
	return errors.Join(err, f.Close())
}

func (l *Loop) resume(f *safetensors.File, path string, id *Identity) error {
	meta, err := readCheckpointMeta(f)
	if err != nil {
		return err
	}
	if err := meta.Identity.Compare(id, path); err != nil {
		return err
	}
	if err := meta.State.check(l.Epochs, l.Data.Batches()); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	l.keepStart()
	best := meta.State.BestEpoch > 0 && !l.Last || meta.State.TopEpoch > 0
	if best {
		l.keepBest() // allocates the memory
	}
	l.State = meta.State
	within := l.State.Batch > 0 && len(l.State.Retreats) < l.Retreats
	if within {
		l.mark = new(mark)
		l.eachMarked(func(kept *[]float32, now []float32) { *kept = make([]float32, len(now)) })
	}
	want := 0
	err = l.eachTensor(best, within, func(name string, shape []int, values []float32) error {
		want++
		return readTensor(f, name, shape, values)
	})
	if err != nil {
		return err
	}
	if n := len(f.Names()); n != want {
		return fmt.Errorf("checkpoint has %d tensors, expected %d", n, want)
	}
	l.Optimizer.steps = l.State.Step
	l.Model.Updated()
	return nil
}

// readTensor reads a tensor, which must have the given shape and finite values, into values.
func readTensor(f *safetensors.File, name string, shape []int, values []float32) error {
	t, ok := f.Tensor(name)
	if !ok {
		return fmt.Errorf("checkpoint lacks tensor %q", name)
	}
	if t.DType != safetensors.F32 || !slices.Equal(t.Shape, shape) {
		return fmt.Errorf("tensor %q is %s %v, expected F32 %v", name, t.DType, t.Shape, shape)
	}
	v, err := t.Float32s(values)
	if err != nil {
		return err
	}
	if err := checkFinite(name, v); err != nil {
		return err
	}
	copy(values, v)
	return nil
}

func checkFinite(name string, values []float32) error {
	for i, x := range values {
		if x-x != 0 {
			return fmt.Errorf("tensor %q: value %d is %v, expected finite numbers", name, i, x)
		}
	}
	return nil
}

// readCheckpointMeta reads the JSON document strictly.
func readCheckpointMeta(f *safetensors.File) (*checkpointMeta, error) {
	text, ok := f.Metadata()[checkpointKey]
	if !ok {
		return nil, fmt.Errorf("not a checkpoint: the header has no %q", checkpointKey)
	}
	if len(text) > maxCheckpointMeta {
		return nil, fmt.Errorf("checkpoint: description of %d bytes, expected at most %d", len(text), maxCheckpointMeta)
	}
	var meta checkpointMeta
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal([]byte(text), &version); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if version.Version != checkpointVersion {
		return nil, fmt.Errorf("checkpoint of version %d, this program reads version %d", version.Version, checkpointVersion)
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	dec.UseNumber() // settings may be integers with more digits than a float64, such as seeds
	if err := dec.Decode(&meta); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return &meta, nil
}

// Compare returns a *MismatchError that names the first difference between the identity c, of a checkpoint or a
// record at path, and that of a run. It returns nil if they are equal.
func (c *Identity) Compare(run *Identity, path string) error {
	for _, f := range []struct{ what, want, found string }{
		{"base", run.Base, c.Base}, {"data", run.Data, c.Data}, {"split", run.Split, c.Split},
	} {
		if f.want != f.found {
			return &MismatchError{path, f.what, f.want, f.found}
		}
	}
	want, err := plain(run.Config)
	if err != nil {
		return err
	}
	keys := slices.Collect(maps.Keys(want))
	for k := range c.Config {
		if _, ok := want[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if !reflect.DeepEqual(want[k], c.Config[k]) {
			return &MismatchError{path, "setting " + strings.ReplaceAll(k, "_", "-"), show(want[k]), show(c.Config[k])}
		}
	}
	return nil
}

// plain returns config after a round trip through JSON.
func plain(config map[string]any) (out map[string]any, err error) {
	text, err := json.Marshal(config)
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		err = dec.Decode(&out)
	}
	if err != nil {
		return nil, fmt.Errorf("train: configuration: %w", err)
	}
	return out, nil
}

// show formats a setting for a message.
func show(v any) string {
	if v == nil {
		return "none"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
