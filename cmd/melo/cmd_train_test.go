package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/par"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/predictions"
	"melo.example/melo/vit"
)

// trainingSet writes n noisy pictures of each class: stripes whose width tells the class.
func trainingSet(t testing.TB, classes, n int) string {
	t.Helper()
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 1))
	for c := range classes {
		sub := filepath.Join(dir, fmt.Sprintf("class_%c", 'a'+c))
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			img := image.NewGray(image.Rect(0, 0, 18, 18))
			for y := range 18 {
				for x := range 18 {
					v := 90 + 70*(x/(1+2*c)%2) + rng.IntN(40)
					img.SetGray(x, y, color.Gray{Y: uint8(v)})
				}
			}
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("%02d.png", i)), b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// trainArgs is a quick training on the tiny base.
func trainArgs(data, out string, more ...string) []string {
	return append([]string{"train", "--base", goldenDir("hf_vit"), "--data", data, "--out", out, "--epochs", "4", "--batch", "8", "--force"}, more...)
}

// adapterDigest reads an adapter's identity, and checks the adapter on the way.
func adapterDigest(t testing.TB, path string) string {
	t.Helper()
	f, err := adapterfile.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return f.Digest
}

// stderrWatcher is a standard error that acts when a text passes.
type stderrWatcher struct {
	seen strings.Builder
	text string
	act  func()
}

func (w *stderrWatcher) Write(p []byte) (int, error) {
	n, err := w.seen.Write(p)
	if w.act != nil && strings.Contains(w.seen.String(), w.text) {
		w.act()
		w.act = nil
	}
	return n, err
}

// meloWatched runs a command line and acts when text appears on standard error.
func meloWatched(ctx context.Context, text string, act func(), args ...string) result {
	var out strings.Builder
	w := &stderrWatcher{text: text, act: act}
	status := run(ctx, args, &stdio{in: strings.NewReader(""), out: &out, err: w})
	return result{status, out.String(), w.seen.String()}
}

// TestTrain trains with every method, and reads back what the adapter says of itself.
func TestTrain(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 3, 14)
	for _, method := range []string{"melo", "linear", "full"} {
		for _, dtype := range []string{"f32", "bf16"} {
			out := filepath.Join(t.TempDir(), "a.safetensors")
			var doc experiment.Result
			args := trainArgs(data, out, "--json", "--method", method, "--dtype", dtype, "--class-weights", "balanced")
			if method == "linear" {
				args = append(args, "--lr", "0.003") // by steps, as the others
			}
			r := melo(t, args...).want(t, exitDone)
			r.decode(t, &doc)
			f, err := adapterfile.Read(out)
			if err != nil {
				t.Fatal(err)
			}
			if doc.Adapter.Digest != f.Digest || doc.Epochs != 4 || doc.Data.Train != 30 || doc.Data.Val != 6 || doc.Data.Test != 6 ||
				doc.Steps != 16 || doc.Params.Head != 99 || doc.Run != strings.TrimSuffix(out, ".safetensors")+".run" {
				t.Errorf("%s: %+v", method, doc)
			}
			m := f.Meta
			if string(m.Method) != method || m.Base.Digest == "" || m.Recipe.Size != 16 || len(m.Labels) != 3 || m.Training.Data.Digest != doc.Data.Digest ||
				m.Training.Split.Train != 30 || m.Training.Hyperparameters["epochs"] != json.Number("4") || len(m.Metrics) != 10 || m.Training.Time != "" {
				t.Errorf("%s: %+v", method, m)
			}
			if want := doc.Validation.Scores["auc"]; m.Metrics[0].Name != "auc" || m.Metrics[0].Value != want || m.Metrics[0].N != 6 {
				t.Errorf("%s: %+v, document %v", method, m.Metrics, want)
			}
			checkSelfTest(t, f)
			if _, err := os.Stat(filepath.Join(doc.Run, "checkpoint.safetensors")); err == nil {
				t.Error("a finished run left its checkpoint")
			}
			epochs, err := os.ReadFile(filepath.Join(doc.Run, "epochs.jsonl"))
			if err != nil || bytes.Count(epochs, []byte("\n")) != 4 {
				t.Errorf("epochs.jsonl: %v, %s", err, epochs)
			}
			image := filepath.Join(data, "class_b", "03.png")
			var answer predictions.Document
			melo(t, "--json", "predict", "--adapter", out, image).want(t, exitDone).decode(t, &answer)
			if len(answer.Results) != 1 || !slices.Equal(answer.Labels, []string{"class_a", "class_b", "class_c"}) {
				t.Errorf("%s: %+v", method, answer)
			}
			if r := melo(t, "inspect", out).want(t, exitDone); !strings.Contains(r.out, "on val      auc") || !strings.Contains(r.out, "(42 images), 30 to train, 6 to validate, 6 for") {
				t.Errorf("inspect: %s", r.out)
			}
		}
	}
}

// checkSelfTest computes the self-test with the adapter as it was read, in the plain way of serving.
func checkSelfTest(t *testing.T, f *adapterfile.File) {
	t.Helper()
	if f.Meta.Method == lora.FullTuning {
		return // its base is in the file
	}
	pool := par.New(1)
	defer pool.Close()
	m, err := vit.Open(goldenDir("hf_vit"), vit.Options{Workers: pool})
	if err != nil {
		t.Fatal(err)
	}
	e := m.NewEngine(1)
	x := make([]float32, f.Meta.Recipe.Values())
	y := make([]float32, len(f.Meta.Labels))
	for i, want := range f.Meta.SelfTest.Logits {
		adapterfile.SelfTestInput(x, f.Meta.SelfTest.Seed, i)
		f.Adapter.Head.Logits(y, e.Features(x, 1, lora.Segment{Adapter: f.Adapter.Resident(vit.F32), Images: 1}))
		if !slices.Equal(y, want) {
			t.Errorf("self-test %d: %v, the file says %v", i, y, want)
		}
	}
}

// TestTrainLearns: stripes of different widths are easy, also for the tiny random base.
func TestTrainLearns(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "a.safetensors")
	var doc experiment.Result
	melo(t, trainArgs(trainingSet(t, 2, 30), out, "--json", "--epochs", "40", "--lr", "0.01")...).want(t, exitDone).decode(t, &doc)
	if auc := doc.Validation.Scores["auc"]; auc < 0.95 || doc.BestEpoch == 0 {
		t.Errorf("validation AUC %v, best epoch %d", auc, doc.BestEpoch)
	}
	if doc.Data.Task != "binary" {
		t.Errorf("task %q", doc.Data.Task)
	}
}

// TestTrainMultiLabel: columns of 0 and 1 are labels that do not exclude each other.
func TestTrainMultiLabel(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 3, 14)
	table := "path,thin,wide\n"
	for c, targets := range []string{"1,0", "1,1", "0,1"} {
		for i := range 14 {
			table += fmt.Sprintf("class_%c/%02d.png,%s\n", 'a'+c, i, targets)
		}
	}
	if err := os.WriteFile(filepath.Join(data, "labels.csv"), []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "a.safetensors")
	var doc experiment.Result
	melo(t, trainArgs(data, out, "--json", "--class-weights", "balanced", "--label-smoothing", "0.1")...).want(t, exitDone).decode(t, &doc)
	f, err := adapterfile.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	if doc.Data.Task != "multilabel" || f.Meta.Task != adapterfile.Multilabel || len(doc.Validation.PerLabel) != 2 {
		t.Errorf("%+v", doc)
	}
}

// TestTrainWithoutValidation keeps the last epoch.
func TestTrainWithoutValidation(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "a.safetensors")
	var doc experiment.Result
	melo(t, trainArgs(trainingSet(t, 2, 8), out, "--json", "--val-split", "0", "--test-split", "0")...).want(t, exitDone).decode(t, &doc)
	if doc.BestEpoch != 0 || doc.Data.Train != 16 || doc.Validation.Samples != 0 {
		t.Errorf("%+v", doc)
	}
}

// TestTrainTestSplitIsUntouched: whatever the test images show, the trained numbers and validation are the same.
func TestTrainTestSplitIsUntouched(t *testing.T) {
	t.Parallel()
	tuned := func(level uint8) (*lora.Adapter, experiment.Result) {
		data := t.TempDir()
		for k, split := range []string{"train", "val", "test"} {
			if err := os.Rename(trainingSet(t, 2, 6), filepath.Join(data, split)); err != nil {
				t.Fatal(err)
			}
			for c := range 2 { // the same pictures in every split would be refused
				for i := range 6 {
					path := filepath.Join(data, split, fmt.Sprintf("class_%c", 'a'+c), fmt.Sprintf("%02d.png", i))
					corner := uint8(10 * k)
					if split == "test" {
						corner = level
					}
					repaint(t, path, corner)
				}
			}
		}
		out := filepath.Join(t.TempDir(), "a.safetensors")
		var doc experiment.Result
		melo(t, trainArgs(data, out, "--json")...).want(t, exitDone).decode(t, &doc)
		f, err := adapterfile.Read(out)
		if err != nil {
			t.Fatal(err)
		}
		return f.Adapter, doc
	}
	a, doc := tuned(200)
	b, other := tuned(220)
	if doc.Data.Rule != "given" || doc.Data.Train != 12 || doc.Data.Val != 12 || doc.Data.Test != 12 || doc.Data.Digest == other.Data.Digest {
		t.Errorf("%+v", doc.Data)
	}
	if !reflect.DeepEqual(a, b) || !reflect.DeepEqual(doc.Validation, other.Validation) {
		t.Error("other test images give another adapter")
	}
}

// repaint gives the corner of a grey picture another level.
func repaint(t *testing.T, path string, level uint8) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	img.(*image.Gray).Pix[0] = level
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRelationTrainSameFile: workers and passes do not change the file; seed and settings do.
func TestRelationTrainSameFile(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 24) // with their mirror images more than are measured for the rates
	digest := func(more ...string) string {
		out := filepath.Join(t.TempDir(), "a.safetensors")
		melo(t, trainArgs(data, out, append(more, "--dropout", "0.1", "--batch", "6")...)...).want(t, exitDone)
		return adapterDigest(t, out)
	}
	want := digest("--workers", "1")
	for _, more := range [][]string{{"--workers", "3"}, {"--pass", "1"}, {"--pass", "3"}} {
		if digest(more...) != want {
			t.Errorf("%v changes the file", more)
		}
	}
	for _, more := range [][]string{{"--seed", "2"}, {"--lr", "0.001"}, {"--no-augment"}, {"--split-seed", "7"}} {
		if digest(more...) == want {
			t.Errorf("%v does not change the file", more)
		}
	}
}

// TestTrainInterruptedAndResumed: Ctrl-C at several moments, then --resume, gives the file of an
// uninterrupted run.
func TestTrainInterruptedAndResumed(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 14)
	whole := filepath.Join(t.TempDir(), "a.safetensors")
	melo(t, trainArgs(data, whole)...).want(t, exitDone)
	for _, moment := range []string{"epoch 1/4", "epoch 2/4", "epoch 3/4"} {
		out := filepath.Join(t.TempDir(), "with space.safetensors")
		ctx, cancel := context.WithCancel(t.Context())
		r := meloWatched(ctx, moment, cancel, trainArgs(data, out)...).want(t, exitInterrupted)
		if _, err := os.Stat(out); err == nil {
			t.Fatal("an interrupted run wrote the adapter")
		}
		lines := strings.Split(strings.TrimSpace(r.err), "\n")
		command, ok := strings.CutPrefix(lines[len(lines)-1], "    melo ")
		if !ok || !strings.Contains(command, "'"+out+"'") || !strings.HasSuffix(command, " --resume") || !strings.Contains(r.err, "interrupted in epoch") {
			t.Fatalf("how to go on: %s", r.err)
		}
		// Without --resume the checkpoint is safe.
		if r := melo(t, trainArgs(data, out)...).want(t, exitUsage); !strings.Contains(r.err, "--restart") {
			t.Errorf("stderr %q", r.err)
		}
		// With other settings it is refused, by name.
		r = melo(t, trainArgs(data, out, "--resume", "--lr", "0.5")...).want(t, exitBadInput)
		if !strings.Contains(r.err, "setting lr: expected 0.5, found none") {
			t.Errorf("stderr %q", r.err)
		}
		melo(t, trainArgs(data, out, "--resume")...).want(t, exitDone)
		if adapterDigest(t, out) != adapterDigest(t, whole) {
			t.Errorf("stopped at %q: the resumed run's file differs", moment)
		}
	}
}

// TestTrainLinearFromFeatures: without augmentation features are kept; an interruption changes nothing.
func TestTrainLinearFromFeatures(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 14)
	more := []string{"--method", "linear", "--no-augment", "--batch", "6", "--lr", "0.003"}
	whole, out := filepath.Join(t.TempDir(), "a.safetensors"), filepath.Join(t.TempDir(), "a.safetensors")
	melo(t, trainArgs(data, whole, more...)...).want(t, exitDone)
	ctx, cancel := context.WithCancel(t.Context())
	meloWatched(ctx, "epoch 2/4", cancel, trainArgs(data, out, more...)...).want(t, exitInterrupted)
	melo(t, trainArgs(data, out, append(more, "--resume")...)...).want(t, exitDone)
	if adapterDigest(t, out) != adapterDigest(t, whole) {
		t.Error("the resumed run's file differs")
	}
}

// TestTrainKilledAndResumed kills the program itself (SIGKILL) wherever it happens to be, again and again; the
// file is that of a run that was left alone, and nothing is left over.
func TestTrainKilledAndResumed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts the program many times")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	data := trainingSet(t, 2, 14)
	more := []string{"--epochs", "60", "--patience", "0"}
	whole := filepath.Join(t.TempDir(), "a.safetensors")
	melo(t, trainArgs(data, whole, more...)...).want(t, exitDone)
	out := filepath.Join(t.TempDir(), "a.safetensors")
	args := append(trainArgs(data, out, more...), "--resume")
	rng := rand.New(rand.NewPCG(4, 2))
	for range 8 {
		cmd := exec.CommandContext(t.Context(), path, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}
	process(t, "", args...).want(t, exitDone)
	if adapterDigest(t, out) != adapterDigest(t, whole) {
		t.Error("the file differs from that of a run that was not killed")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(out), "a.run", "*"))
	if err != nil || len(left) != 8 { // the record, its epochs, three curves as SVG and PNG
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestTrainResumeWithoutCheckpoint(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "a.safetensors")
	r := melo(t, trainArgs(trainingSet(t, 2, 8), out, "--resume")...).want(t, exitDone)
	if !strings.Contains(r.err, "starting from the beginning") {
		t.Errorf("stderr %q", r.err)
	}
}

// TestTrainOutputFailsAtTheEnd: the output becomes unwritable while training goes on; nothing is lost.
func TestTrainOutputFailsAtTheEnd(t *testing.T) {
	t.Parallel()
	data := trainingSet(t, 2, 10)
	whole := filepath.Join(t.TempDir(), "a.safetensors")
	melo(t, trainArgs(data, whole)...).want(t, exitDone)
	out := filepath.Join(t.TempDir(), "a.safetensors")
	block := func() {
		if err := os.Mkdir(out, 0o755); err != nil {
			t.Error(err)
		}
	}
	r := meloWatched(t.Context(), "epoch 2/4", block, trainArgs(data, out)...).want(t, exitFailed)
	if !strings.Contains(r.err, out) || !strings.Contains(r.err, "not a regular file") || !strings.Contains(r.err, "--resume") {
		t.Errorf("stderr %q", r.err)
	}
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	melo(t, trainArgs(data, out, "--resume")...).want(t, exitDone)
	if adapterDigest(t, out) != adapterDigest(t, whole) {
		t.Error("the file differs from that of a run without trouble")
	}
}

// TestTrainDiverges: settings under which weights overflow end with the step; the last checkpoint is kept.
func TestTrainDiverges(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "a.safetensors")
	r := melo(t, trainArgs(trainingSet(t, 2, 14), out, "--lr", "2", "--weight-decay", "900", "--warmup", "0", "--epochs", "20", "--head-init", "uniform",
		"--batch", "20")...).want(t, exitFailed)
	if !strings.Contains(r.err, "is not finite: a smaller learning rate may help") || !strings.Contains(r.err, "melo: step ") || !strings.Contains(r.err, "--restart") {
		t.Errorf("stderr %q", r.err)
	}
	if _, err := os.Stat(filepath.Join(strings.TrimSuffix(out, ".safetensors")+".run", "checkpoint.safetensors")); err != nil {
		t.Error(err)
	}
}

// TestTrainBadInput: one line that names the culprit, and the documented status.
func TestTrainBadInput(t *testing.T) {
	t.Parallel()
	good := trainingSet(t, 2, 10)
	out := filepath.Join(t.TempDir(), "a.safetensors")
	old := []byte("the old file")
	if err := os.WriteFile(out, old, 0o644); err != nil {
		t.Fatal(err)
	}
	change := func(change func(dir string) error) string {
		dir := trainingSet(t, 2, 10)
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	broken := change(func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "class_a", "03.png"), []byte("\x89PNG\r\n\x1a\nnot really"), 0o644)
	})
	empty := change(func(dir string) error { return os.Mkdir(filepath.Join(dir, "class_z"), 0o755) })
	one := change(func(dir string) error { return os.RemoveAll(filepath.Join(dir, "class_b")) })
	missing := change(func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "labels.csv"), []byte("path,label\nclass_a/00.png,a\nclass_b/99.png,b\n"), 0o644)
	})
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{exitBadInput, filepath.Join("class_a", "03.png"), trainArgs(broken, out)},
		{exitBadInput, "class_z", trainArgs(empty, out)},
		{exitBadInput, "class_a", trainArgs(one, out)},
		{exitBadInput, "class_b/99.png", trainArgs(missing, out)},
		{exitBadInput, "nowhere", trainArgs("nowhere", out)},
		{exitBadInput, "layer.1.", append(trainArgs(good, out), "--base", nanBase(t))},
		{exitBadInput, "nothing", append(trainArgs(good, out), "--base", "nothing")},
		{exitFailed, "not a directory", append(trainArgs(good, out), "--out", filepath.Join(out, "b.safetensors"), "--checkpoint", t.TempDir())},
		{exitFailed, "no such file", append(trainArgs(good, out), "--out", filepath.Join(t.TempDir(), "missing", "b.safetensors"), "--checkpoint", t.TempDir())},
		{exitFailed, "not a regular file", append(trainArgs(good, out), "--out", good)},
		{exitUsage, "--lr", append(trainArgs(good, out), "--lr", "-1")},
		{exitUsage, "--sites", append(trainArgs(good, out), "--sites", "q,x")},
		{exitUsage, "--blocks", append(trainArgs(good, out), "--blocks", "7")},
		{exitUsage, "rank 33", append(trainArgs(good, out), "--rank", "33")},
		{exitUsage, "crop", append(trainArgs(good, out), "--crop", "2")},
		{exitUsage, "leave some", append(trainArgs(good, out), "--val-split", "0.9")},
		{exitUsage, "contradict", append(trainArgs(good, out), "--resume", "--restart")},
	} {
		r := melo(t, c.args...).want(t, c.status)
		if r.out != "" || !strings.Contains(r.err, c.says) {
			t.Errorf("melo %v: want %q, got stdout %q, stderr %q", c.args, c.says, r.out, r.err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := meloContext(t, ctx, trainArgs(good, out)...).want(t, exitInterrupted); r.err != "melo: interrupted\n" {
		t.Errorf("interrupted at once: stderr %q", r.err)
	}
	if now, err := os.ReadFile(out); err != nil || !bytes.Equal(now, old) {
		t.Errorf("the old file is not intact: %q, %v", now, err)
	}
	clean := t.TempDir()
	melo(t, trainArgs(empty, filepath.Join(clean, "a.safetensors"))...).want(t, exitBadInput)
	if left, err := os.ReadDir(clean); err != nil || len(left) != 0 {
		t.Errorf("a run that did not begin left %v, %v", left, err)
	}
	var doc experiment.Result
	melo(t, append(trainArgs(broken, out), "--json", "--max-bad", "1")...).want(t, exitDone).decode(t, &doc)
	if len(doc.Data.Bad) != 1 || !strings.HasSuffix(doc.Data.Bad[0], filepath.Join("class_a", "03.png")) {
		t.Errorf("bad images: %v", doc.Data.Bad)
	}
}

// nanBase is the tiny base with one weight that is not a number.
func nanBase(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(goldenDir("hf_vit"), name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "model.safetensors" {
			var header map[string]struct {
				Offsets [2]int `json:"data_offsets"`
			}
			n := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
			text := bytes.Replace(data[8:8+n], []byte(`"__metadata__":{"format":"pt"},`), nil, 1)
			if err := json.Unmarshal(text, &header); err != nil {
				t.Fatal(err)
			}
			for key, e := range header {
				if strings.Contains(key, "layer.1.") && strings.HasSuffix(key, "weight") {
					bits := math.Float32bits(float32(math.NaN()))
					copy(data[8+n+e.Offsets[0]:], []byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
					break
				}
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestShellWord(t *testing.T) {
	for w, want := range map[string]string{"a/b-c.d": "a/b-c.d", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'"} {
		if got := text.ShellWord(w); got != want {
			t.Errorf("%q: got %s, want %s", w, got, want)
		}
	}
}
