package lines

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"melo.example/melo/conformal"
	"melo.example/melo/convert"
	"melo.example/melo/dicom/show"
	"melo.example/melo/experiment"
	"melo.example/melo/fit"
	"melo.example/melo/imaging"
	"melo.example/melo/inspect"
	"melo.example/melo/inspect/known"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/predictions"
	"melo.example/melo/serve/audit"
	"melo.example/melo/train"
)

// printed is what do prints. Every line fits a terminal, but for the paths and names that people gave.
func printed(t *testing.T, do func(Writer)) string {
	t.Helper()
	var b strings.Builder
	do(To(&b))
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > Width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	return b.String()
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func has(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%q is missing in\n%s", part, got)
		}
	}
}

func p(v float64) *float64 { return &v }

func TestWriter(t *testing.T) {
	got := printed(t, func(l Writer) {
		l.Printf("a\x1b[31mb\x07c")
		l.Entry("  label  ", "%s  end", strings.Repeat("words of some length ", 5))
		l.Entry("x ", "short\nlines are one")
	})
	same(t, got, `
a[31mbc
  label  words of some length words of some length words of some length words of
         some length words of some length end
x short lines are one
`)
}

func TestCells(t *testing.T) {
	for _, c := range []struct {
		name  string
		width int
		right bool
		want  string
	}{
		{"ab", 4, false, "ab  "}, {"ab", 4, true, "  ab"}, {"abcd", 4, false, "abcd"}, {"abcde", 4, true, "abc~"}, {"äöüßé", 4, false, "äöü~"}, {"a\nb\x7f", 5, false, "a?b? "},
	} {
		if got := cut(c.name, c.width, c.right); got != c.want {
			t.Errorf("%q: %q, want %q", c.name, got, c.want)
		}
	}
	for got, want := range map[string]string{
		share(nil): "    -", share(p(0.12345)): "0.123", share(p(1)): "1.000",
		interval95(nil): "-             ", interval95(&[2]float64{0.5, 0.75}): "0.500 to 0.750",
		signedRange(nil): "-               ", signedRange(&[2]float64{-0.05, 0.1}): "-0.050 to +0.100",
		marked("auc", []string{"f1", "auc"}): "~", marked("auc", []string{"f1"}): " ", hexOf("sha256:ab"): "ab",
		Speed(experiment.Speed{ImagesPerSecond: 99.96}):                    "  100.0 img/s",
		Speed(experiment.Speed{ImagesPerSecond: 123.4, ShareOfPeak: 0.37}): "  123 img/s  37% of peak",
		Score(map[string]float64{"auc": 0.98765}, "auc"):                   "0.988", Score(nil, "auc"): "-",
		Scores(map[string]float64{train.AUC: 0.9, train.Accuracy: 0.8, train.F1: 0.7}, 2): "AUC 0.900, accuracy 0.800",
		Scores(map[string]float64{train.F1: 0.7}, 5):                                      "F1 0.700",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTopOf(t *testing.T) {
	for _, c := range []struct {
		values []float64
		n      int
		want   string
	}{{[]float64{0.1, 0.7, 0.2}, 2, "[1 2]"}, {[]float64{0.3, 0.4, 0.3}, 3, "[1 0 2]"}, {[]float64{0.5, 0.5}, 1, "[0]"}, {[]float64{0.5}, 4, "[0]"}, {nil, 2, "[]"}} {
		if got := fmt.Sprint(topOf(c.values, c.n)); got != c.want {
			t.Errorf("%v: %s, want %s", c.values, got, c.want)
		}
	}
}

// fakeScreen writes down what is shown.
type fakeScreen struct{ strings.Builder }

func (f *fakeScreen) Show(title string, done, total int64, status string) {
	fmt.Fprintf(f, "[%s %d/%d %s]\n", title, done, total, status)
}
func (f *fakeScreen) Finish()            { f.WriteString("[end]\n") }
func (f *fakeScreen) Remark(line string) { f.WriteString("melo: " + line + "\n") }
func (f *fakeScreen) Print(line string)  { f.WriteString(line + "\n") }

// run are the events of a run.
func run(title string) []experiment.Event {
	began := experiment.Began{Title: title, Data: experiment.Data{Path: "busi", Task: "binary", Labels: []string{"a", "b"}, Train: 60, Val: 12, Test: 8},
		Parameters: experiment.Parameters{Trained: 1234, Head: 66, Base: 100_000, Share: 0.01234}, StepsPerEpoch: 8, Total: 720}
	began.Config.Method, began.Config.Epochs = lora.MeLo, 10
	began.Rates = &lora.Rates{A: 0.01, B: 0.02, Head: 0.003}
	epoch := train.Epoch{Epoch: 3, Loss: 0.5, Val: train.Scores{train.AUC: 0.91, train.Accuracy: 0.8}}
	done := &experiment.Result{Epochs: 10, BestEpoch: 3, Seconds: 65}
	done.Validation.Scores = map[string]float64{train.AUC: 0.91}
	return []experiment.Event{
		experiment.Resumed{Title: title, Folder: "a.run"},
		experiment.Resumed{Title: title, Found: true, Step: 16, Epoch: 2},
		experiment.Resumed{Title: title, Found: true, Finished: true, Step: 80},
		experiment.Probed{Title: title, Method: lora.MeLo, Samples: 12, Start: experiment.Start{Scores: map[string]float64{train.AUC: 0.7}}},
		began,
		experiment.Stepped{Title: title, Epoch: 3, Epochs: 10, Loss: 0.61, Scores: train.Scores{train.AUC: 0.88}, Speed: experiment.Speed{ImagesPerSecond: 40}, Done: 150, Total: 720},
		experiment.Validating{Title: title, Epoch: 3, Epochs: 10, Done: 216, Total: 720},
		experiment.EpochEnded{Title: title, Epoch: epoch, Epochs: 10, Best: true, Stopped: true, Patience: 5, Speed: experiment.Speed{ImagesPerSecond: 40}},
		experiment.Retreated{Title: title, Number: 1, Retreat: train.Retreat{Epoch: 4, Reason: "the loss is not finite"}},
		experiment.Returned{Title: title, Scores: train.Scores{train.AUC: 0.6}, Start: experiment.Start{Scores: map[string]float64{train.AUC: 0.7}}},
		experiment.Ended{Title: title},
		experiment.Compared{Title: "melo, seed 1", Number: 2, Runs: 6, Result: done},
		experiment.Compared{Title: "melo, seed 1", Before: true, Number: 2, Runs: 6},
	}
}

// TestWatch: what is seen of one run, and of one among many.
func TestWatch(t *testing.T) {
	show := func(quiet bool, events ...experiment.Event) string {
		s := &fakeScreen{}
		w := &Watch{Screen: s, Quiet: quiet}
		for _, e := range events {
			w.Event(e)
		}
		return s.String()
	}
	same(t, show(false, run("")...), `
melo: no checkpoint in a.run: starting from the beginning
melo: going on after step 16, in epoch 3
melo: the training was finished after step 80: the adapter is measured and written
melo: linear probe of the bare base: AUC 0.700 (12 images); the run begins with it
melo: `+lora.MeLo.Title()+` on busi, 2 labels (binary): 60 images to train, 12 to validate, 8 for testing later
melo: `+lora.Describe(nil)+`: 1,234 parameters (1.23 % of the base) and 66 parameters in the head; 10 epochs of 8 steps at most, learning rate by the base: 0.01 for A, 0.02 for B, 0.003 for the head
[training 0/720 ]
[training 150/720 epoch 3/10  loss 0.61  AUC 0.880  40.0 img/s]
[training 216/720 epoch 3/10  validating]
epoch  3/10  loss 0.500  val AUC 0.910 acc 0.800  40.0 img/s  best
no better validation for 5 epochs: stopping
melo: note: the loss is not finite: epoch 4 again, at half the rates (1 of at most 3 times)
melo: note: the run ended below its linear probe on validation (AUC 0.600, the probe 0.700): the probe is kept
[end]
melo: melo, seed 1: val AUC 0.910, epoch 3 of 10, 1m05s (2 of 6)
melo: melo, seed 1: done before (2 of 6)
`)
	same(t, show(true, run("full, seed 2")...), `
melo: full, seed 2: going on after step 16, in epoch 3
melo: full, seed 2: the training was finished after step 80: the adapter is measured and written
[full, seed 2 0/720 ]
[full, seed 2 150/720 epoch 3/10  loss 0.61  AUC 0.880  40.0 img/s]
[full, seed 2 216/720 epoch 3/10  validating]
melo: full, seed 2: note: the loss is not finite: epoch 4 again, at half the rates (1 of at most 3 times)
melo: full, seed 2: note: the run ended below its linear probe on validation (AUC 0.600, the probe 0.700): the probe is kept
[end]
melo: melo, seed 1: val AUC 0.910, epoch 3 of 10, 1m05s (2 of 6)
melo: melo, seed 1: done before (2 of 6)
`)
	same(t, show(false, experiment.Meter{Stage: "reading images", Done: 1, Total: 2}, experiment.Meter{Stage: "reading images", Done: 2, Total: 2},
		experiment.Note{Text: "a note"}, experiment.Tried{Title: "1 of 3", Candidate: "rank 4", AUC: 0.87654}, experiment.Tried{Title: "2 of 3", Candidate: "rank 8", AUC: math.NaN()},
		experiment.Tried{Title: "3 of 3", Candidate: "rank 9", AUC: 0.5, Failed: "diverged"},
		experiment.Prepared{Base: "vit", Why: "as published", Recipe: imaging.Recipe{Size: 16, Interpolation: "bilinear"}},
		experiment.Probed{Method: lora.LinearOnly}), `
[reading images 1/2 ]
[reading images 2/2 ]
[end]
melo: a note
melo: 1 of 3: rank 4: AUC 0.8765
melo: 2 of 3: rank 8: AUC -
melo: 3 of 3: rank 9: AUC diverged
melo: note: vit: as published (16 x 16, bilinear, mean [0 0 0], std [0 0 0]); --mean, --std, --crop-pct and --interpolation change that
melo: linear probe of the bare base; --lr trains on from it
`)
}

// TestPlan: what is trained by each method, and how fast.
func TestPlan(t *testing.T) {
	e := &experiment.Began{StepsPerEpoch: 4, Parameters: experiment.Parameters{Head: 1000, Base: 5_000_000}}
	e.Config.Pace = &lora.Pace{Decay: 0.8}
	for _, c := range []struct {
		method lora.Method
		rates  *lora.Rates
		epochs int
		want   string
	}{
		{lora.LinearOnly, nil, 3, "1,000 parameters in the head; 3 epochs of 4 steps at most, learning rate 0.5, as given"},
		{lora.LinearOnly, &lora.Rates{Head: 0.01}, 3, "1,000 parameters in the head; 3 epochs of 4 steps at most, learning rate by the base: 0.01"},
		{lora.LinearOnly, nil, 0, "1,000 parameters in the head, solved"},
		{lora.FullTuning, &lora.Rates{Full: 0.001, Head: 0.01}, 3, "all 5,000,000 parameters of the base and 1,000 parameters in the head; 3 epochs of 4 steps at most, " +
			"learning rate by the base: 0.001 for the last block, 0.8 of that for each block below, 0.01 for the head"},
	} {
		e.Config.Method, e.Rates, e.Config.Epochs, e.Config.LR = c.method, c.rates, c.epochs, 0.5
		if got := Plan(e); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestPredicted(t *testing.T) {
	d := &predictions.Document{Labels: []string{"benign", "malignant", "normal"}, Results: []predictions.Prediction{
		{Image: "a.png", Probabilities: []float64{0.1, 0.7, 0.2}},
		{Image: "long\nname.png", Probabilities: []float64{0.5, 0.25, 0.25}, Fit: &fit.Verdict{}, Set: &conformal.Set{Labels: []string{"benign", "normal"}}},
		{Image: "b.png", Probabilities: []float64{0, 0, 1}, Fit: &fit.Verdict{Unlike: true}},
	}}
	var b strings.Builder
	Predicted(To(&b), d, 2) // a line for each image, however long its name
	got := b.String()
	lines := strings.Split(got, "\n")
	if len(lines) != 4 {
		t.Fatalf("got %q", got)
	}
	has(t, lines[0], "a.png", " 70.0% malignant   20.0% normal")
	has(t, lines[1], " 50.0% benign   25.0% malignant  {benign, normal}")
	has(t, lines[2], Unlike+":  100.0% normal    0.0% benign")
	if strings.Contains(lines[0], "{") || strings.Contains(lines[1], Unlike) {
		t.Errorf("got %q", got)
	}
}

// TestPredictedAll: adapters that an image is not for are left out, and those which cannot know say so.
func TestPredictedAll(t *testing.T) {
	image := func(f *fit.Verdict, probability float64) []predictions.Prediction {
		return []predictions.Prediction{{Image: "x.png", Probabilities: []float64{probability, 1 - probability}, Fit: f}}
	}
	of := func(path string, r []predictions.Prediction) predictions.Document {
		return predictions.Document{Adapter: &experiment.AdapterReference{Path: path}, Labels: []string{"no", "yes"}, Results: r}
	}
	d := &predictions.All{Adapters: []predictions.Document{of("chest.safetensors", image(&fit.Verdict{}, 0.25)), of("skin.safetensors", image(&fit.Verdict{Unlike: true}, 0.9)), of("old.safetensors", image(nil, 0.6))},
		Applies: []predictions.Applying{{Image: "x.png", Apply: []string{"chest"}, Unknown: []string{"old"}}, {Image: "y.png"}, {Image: "z.png", Error: "damaged"}}}
	same(t, printed(t, func(l Writer) { PredictedAll(l, d, 1) }), `
x.png
  chest   75.0% yes
  old     60.0% no  (does not know its training images)
y.png
  no adapter knows such images
z.png
  no answer
`)
}

func TestConverted(t *testing.T) {
	alpha := 8
	d := &convert.Document{In: convert.File{Path: "in", Format: "native", Bytes: 2000, Digest: "sha256:aa"}, Out: convert.File{Path: "out", Format: "loravit", Bytes: 1000},
		Sites: "q, v of 3 blocks, rank 4", Deltas: 12345, Head: 66, Labels: []string{"a", "b"}, Alpha: &alpha}
	same(t, printed(t, func(l Writer) { Converted(l, d) }), `
in (native, 2.0 kB) -> out (loravit, 1.0 kB)
  sites       q, v of 3 blocks, rank 4, 12,345 parameters
  head        66 parameters: a, b
  alpha       8: LoRA-ViT must be given it
`)
	d = &convert.Document{In: convert.File{Path: "in", Format: "hf", Bytes: 1000, Digest: "sha256:aa"}, Out: convert.File{Path: "out", Format: "timm", Bytes: 1000, Digest: "sha256:bb"}}
	same(t, printed(t, func(l Writer) { Converted(l, d) }), `
in (hf, 1.0 kB) -> out (timm, 1.0 kB)
  sha256 in   aa
  sha256      bb
`)
}

func TestRecipe(t *testing.T) {
	for _, c := range []struct {
		r    imaging.Recipe
		want string
	}{
		{imaging.Recipe{Size: 8, Interpolation: "bicubic"}, "8 x 8, bicubic, mean"},
		{imaging.Recipe{Size: 8, Interpolation: "bicubic", Resize: 9}, "8 x 8, bicubic, shorter side to 9 and centre crop, mean"},
		{imaging.Recipe{Size: 8, Interpolation: "bicubic", Resize: 9, Cut: imaging.CutNone}, "8 x 8, bicubic, square images only, mean"},
		{imaging.Recipe{Size: 8, Interpolation: "bicubic", Resize: 9, Fit: imaging.FitSquash}, "8 x 8, bicubic, squashed to 9 and centre crop, mean"},
		{imaging.Recipe{Size: 8, Interpolation: "bicubic", Fit: imaging.FitNone}, "8 x 8, bicubic, centre crop without resizing, mean"},
		{imaging.Recipe{Size: 8, Interpolation: "bicubic", Fit: imaging.FitNone, Cut: imaging.CutNone}, "8 x 8, bicubic, images of that size only, mean"},
		{imaging.Recipe{Size: 8, Interpolation: "bicubic", Window: "40,400"}, ", window 40,400, mean"},
	} {
		if got := Recipe(c.r); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s, want %s", c.r, got, c.want)
		}
	}
}

// TestInspected: what is said of an adapter, and of a file that resembles a published model.
func TestInspected(t *testing.T) {
	a := &inspect.Adapter{Digest: "sha256:" + strings.Repeat("ab", 32), Deltas: 1000, Head: 66, Metadata: adapterfile.Metadata{
		Method: lora.MeLo, Task: adapterfile.Binary, Labels: adapterfile.Labels("benign", "malignant"), Base: adapterfile.Base{ID: "vit", Width: 32, Depth: 3, PathHint: "there/vit"},
		Metrics: []adapterfile.Metric{{Split: "val", Name: "auc", Value: 0.91, N: 12, Interval: []float64{0.8, 0.95}, Level: 0.95}, {Split: "val", Name: "auc", Value: 0.9, Label: "benign"}},
		Fit:     &adapterfile.Fit{Images: 400, On: "val", OnImages: 300, Expected: 0.0101}, Training: &adapterfile.Training{Program: "melo", Seed: 7}, IntendedUse: "none"}}
	d := &inspect.Document{Path: "a.safetensors", Kind: "adapter", Bytes: 4096, Tensors: 3, Parameters: 1066, DTypes: map[string]int{"I8": 1, "F32": 2}, Adapter: a,
		Signatures: []inspect.Signature{{Key: "k1", Signer: "radiology", As: "busi", Time: "2026-01-01T00:00:00Z", Comment: "fine"}, {Key: "k2", Time: "2026-01-02T00:00:00Z", Reason: "the key is not trusted"}}}
	got := printed(t, func(l Writer) { Inspected(l, d, "") })
	has(t, got, "  kind        adapter\n", "1,066 in 3 tensors (2 F32, 1 I8)", "  sha256      "+strings.Repeat("ab", 32), "1,000 trainable parameters beside the base, 66 in the", "vit at there/vit, width 32, 3 blocks",
		"binary: benign, malignant", "auc 0.9100 (95 % interval 0.8000 to 0.9500), 12 images", "auc 0.9000 for benign", "by melo, seed 7", "knows 400 training images", "from 300 images of validation",
		"by radiology, verified;", "key k1, for the name\n              busi alone: fine\n", "not verified: the key is not trusted;", "  use         none\n")
	a.Metadata.Fit.Policy, a.Metadata.Fit.On = adapterfile.FitRefuse, "train"
	has(t, printed(t, func(l Writer) { Inspected(l, d, "") }), "unlike ones are refused", "held out of training")
	a.Metadata.Fit = nil
	has(t, printed(t, func(l Writer) { Inspected(l, d, "") }), "does not know its training images")

	d = &inspect.Document{Path: "x", Kind: "tensors", Tensors: 9, Parameters: 100, DTypes: map[string]int{"F16": 9},
		Nearest: &known.Match{Package: "timm", Family: "swin", Models: []string{"swin_a", "swin_b"}, Likeness: 0.87, Tensors: 10, Parameters: 100, Missing: strings.Split("a b c d e f g h", " "), Extra: []string{"z"}},
		List:    []inspect.Tensor{{Name: "long.name", DType: "F16", Shape: []int{2, 3}}, {Name: "b", DType: "BF16", Shape: []int{4}}}}
	has(t, printed(t, func(l Writer) { Inspected(l, d, "") }), "of timm (swin), 87 % of the names alike", "  there       100 in 10 tensors", "  only there  a, b, c, d, e, f and 2 more\n", "  only here   z\n",
		"  long.name  F16   [2 3]\n  b          BF16  [4]\n")
	d.Nearest, d.Kind, d.Base = nil, "base", &inspect.Base{Family: "vit", Naming: "timm", Width: 32, Depth: 3, Heads: 2, MLP: 64, Patch: 4, Tokens: 17, Image: 16, Classes: 5, RecipeNote: "nothing says how images are prepared"}
	has(t, printed(t, func(l Writer) { Inspected(l, d, "give --mean") }), "vit, timm naming", "width 32, 3 blocks, 2 heads, MLP 64, patch 4, 17 tokens", "16 x 16; nothing says how images are prepared: give --mean", "own head    5 classes")
}

func TestSweepTable(t *testing.T) {
	d := &experiment.SweepResult{Data: experiment.Data{Path: "busi", Val: 12}, Tried: []experiment.TriedValues{{Name: "rank"}, {Name: "step"}}, Folder: "sweep", Command: "melo train --rank 8", Gain: p(0.0123),
		Results: []experiment.Candidate{{Values: []string{"8", "0.25"}, Epochs: 9, AUC: p(0.91), Accuracy: p(0.8), LogLoss: p(0.4), Trained: 12345}, {Values: []string{"4", "0.125"}, Epochs: 3, IsGiven: true}}}
	same(t, printed(t, func(l Writer) { Sweep(l, d) }), `
2 candidates on busi, 12 images to validate
   place  rank  step   epochs     AUC  accuracy  log loss   trained
       1  8     0.25        9   0.910     0.800     0.400    12,345
 *     2  4     0.125       3       -         -         -         0
  *: the settings of the command line
  the best has 1.2 points of AUC more; of the best of many, part is luck
  to train it:
    melo train --rank 8
  table: sweep/sweep.csv
`)
}

// TestNotInferior: the verdict follows from the p-value, at 0.025.
func TestNotInferior(t *testing.T) {
	for pv, want := range map[float64]string{0.0249: "shown (p", 0.025: "not shown (p", 0.9: "not shown (p"} {
		x := &experiment.Difference{First: "melo", Second: "full", Margin: 0.02, NotInferior: &pv}
		has(t, printed(t, func(l Writer) { printNotInferior(l, x) }), "melo - full", "under 2.0 points of AUC worse: "+want)
	}
	if got := printed(t, func(l Writer) { printNotInferior(l, &experiment.Difference{}) }); got != "" {
		t.Errorf("nobody asked: %q", got)
	}
}

func TestDICOM(t *testing.T) {
	d := &show.Document{Syntax: "1.2", Name: "Explicit VR", Pixels: &show.Pixels{Rows: 8, Columns: 9, Samples: 1, Frames: 1, Stored: 12, Allocated: 16, Signed: true, Photometric: "MONOCHROME2"},
		PixelSum: "ab", Shown: "8 x 9", Picture: "x.png", Notes: []string{"odd"}}
	same(t, printed(t, func(l Writer) { DICOM(l, d) }), `
transfer syntax  1.2 (Explicit VR)
pixels           1 frame of 9 x 8, 1 samples a pixel, 12 bits of 16, signed,
                 MONOCHROME2
pix_sha256       ab
shown            8 x 9
written          x.png
note             odd
`)
	d = &show.Document{Syntax: "1.2", Name: "n", Pixels: &show.Pixels{Frames: 3, Float: true, Signed: true}}
	has(t, printed(t, func(l Writer) { DICOM(l, d) }), "3 frames of", "0 bits of 0, floating\n")
	d.Pixels = nil
	same(t, printed(t, func(l Writer) { DICOM(l, d) }), "transfer syntax  1.2 (n)\n")
}

func TestAudit(t *testing.T) {
	same(t, printed(t, func(l Writer) { Audit(l, &audit.Document{}) }), "no entries\n")
	d := &audit.Document{Entries: 5, First: 3, Head: "7:abc", From: "then", To: "now", Backwards: 1, Torn: 12, Witness: &audit.Attestation{Stamps: 2, Time: "t", Authority: "CN=x", Head: "7:abc"}}
	same(t, printed(t, func(l Writer) { Audit(l, d) }), `
5 entries, 3 to 7:abc
from then to now
note: it continues an earlier file: entries before 3 are not here
note: the clock was set back before 1 entries; their numbers have the order
note: 12 bytes after the last whole entry: a server that writes now, or one that
      crashed
time stamps: 2; the last is of t, CN=x, about 7:abc...
note: whether that authority is to be trusted was not checked: give its
      certificate with --tsa-ca
every entry is as it was written, and follows the one before
`)
}
