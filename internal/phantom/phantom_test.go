package phantom

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"melo.example/melo/dataset"
)

// samples are the bytes of a picture.
func samples(t *testing.T, m image.Image) []byte {
	t.Helper()
	if m.Bounds() != image.Rect(0, 0, Size, Size) {
		t.Fatalf("bounds %v", m.Bounds())
	}
	switch m := m.(type) {
	case *image.Gray:
		return m.Pix
	case *image.RGBA:
		return m.Pix
	}
	t.Fatalf("a %T", m)
	return nil
}

// TestDigest notices when pictures change: then adapters and numbers that were made with them are of the past.
func TestDigest(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("samples may differ by rounding on " + runtime.GOARCH)
	}
	want := map[string]string{
		"chest":  "075963b7dd0a532e",
		"tb":     "280e6f97b6bf3fd1",
		"breast": "d5da2d0a06234193",
		"blood":  "f4b5f0475753990e",
	}
	for _, task := range Tasks() {
		h := sha256.New()
		for i := range 6 {
			p := task.Draw(1, i)
			h.Write(samples(t, p.Image))
			fmt.Fprintln(h, p.Label, p.Targets, p.Patient)
		}
		if got := hex.EncodeToString(h.Sum(nil))[:16]; got != want[task.Name] {
			t.Errorf("%s: digest %s, want %s", task.Name, got, want[task.Name])
		}
	}
}

// TestAnyOrder: a picture depends on its number alone.
func TestAnyOrder(t *testing.T) {
	for _, task := range Tasks() {
		const n = 6
		var wg sync.WaitGroup
		var got [n]Picture
		for i := n - 1; i >= 0; i-- {
			wg.Go(func() { got[i] = task.Draw(5, i) })
		}
		wg.Wait()
		for i := range n {
			again := task.Draw(5, i)
			if !slices.Equal(samples(t, got[i].Image), samples(t, again.Image)) || got[i].Label != again.Label {
				t.Errorf("%s: picture %d differs when it is drawn again", task.Name, i)
			}
			if i > 0 && slices.Equal(samples(t, got[i].Image), samples(t, got[i-1].Image)) {
				t.Errorf("%s: pictures %d and %d are alike", task.Name, i-1, i)
			}
		}
		if other := task.Draw(6, 0); slices.Equal(samples(t, other.Image), samples(t, got[0].Image)) {
			t.Errorf("%s: another seed gives the same picture", task.Name)
		}
	}
}

// TestPictures: labels are as frequent as the task says, and pictures use their range of grey.
func TestPictures(t *testing.T) {
	const n = 80
	for _, task := range Tasks() {
		if !slices.IsSorted(task.Labels) || !strings.HasPrefix(task.Title, "synthetic") {
			t.Errorf("%s: labels %v, title %q", task.Name, task.Labels, task.Title)
		}
		counts := make([]int, len(task.Labels))
		for i := range n {
			p := task.Draw(3, i)
			for _, name := range task.LabelsOf(p) {
				counts[slices.Index(task.Labels, name)]++
			}
			if (p.Label < 0) != task.Multi || (len(p.Targets) > 0) != task.Multi {
				t.Fatalf("%s: label %d, targets %v", task.Name, p.Label, p.Targets)
			}
			low, high := slices.Min(samples(t, p.Image)), slices.Max(samples(t, p.Image))
			if low > 130 || high < 150 {
				t.Errorf("%s: picture %d has samples of %d to %d", task.Name, i, low, high)
			}
		}
		for l, k := range counts {
			if share := float64(k) / n; share < 0.10 || share > 0.65 {
				t.Errorf("%s: %d of %d pictures have label %q", task.Name, k, n, task.Labels[l])
			}
		}
	}
}

func TestWrite(t *testing.T) {
	counts := Counts{Train: 24, Val: 16, Test: 16}
	for _, task := range Tasks() {
		dir := filepath.Join(t.TempDir(), task.Name)
		var mu sync.Mutex
		most := 0
		err := task.Write(t.Context(), dir, counts, 1, func(done int) {
			mu.Lock()
			defer mu.Unlock()
			most = max(most, done)
		})
		if err != nil {
			t.Fatal(err)
		}
		if most != counts.Total() {
			t.Errorf("%s: progress ended at %d", task.Name, most)
		}
		ds, err := dataset.Open(dir, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		train, val, test, err := ds.Split(dataset.SplitOptions{})
		if err != nil {
			t.Fatalf("%s: %v", task.Name, err)
		}
		if len(train) != counts.Train || len(val) != counts.Val || len(test) != counts.Test || len(ds.Warnings) > 0 {
			t.Errorf("%s: %d, %d and %d samples, warnings %q", task.Name, len(train), len(val), len(test), ds.Warnings)
		}
		if !slices.Equal(ds.Labels, task.Labels) || (ds.Task == dataset.MultiLabel) != task.Multi {
			t.Errorf("%s: labels %v, task %s", task.Name, ds.Labels, ds.Task)
		}
		if grouped := ds.Samples[0].Group != "" && ds.Samples[0].Group == ds.Samples[1].Group; grouped != task.Grouped {
			t.Errorf("%s: the first samples have groups %q and %q", task.Name, ds.Samples[0].Group, ds.Samples[1].Group)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	task, err := Find("breast")
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Write(t.Context(), t.TempDir(), Counts{Train: 3, Val: 2}, 1, nil); err == nil || !strings.Contains(err.Error(), "patient") {
		t.Errorf("a patient on both sides: %v", err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine.txt"), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := task.Write(t.Context(), full, Counts{Train: 2}, 1, nil); err == nil || !strings.Contains(err.Error(), "mine.txt") {
		t.Errorf("a folder with files: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := task.Write(ctx, filepath.Join(t.TempDir(), "new"), Counts{Train: 2}, 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := Find("eye"); err == nil || !strings.Contains(err.Error(), "blood") {
		t.Errorf("an unknown task: %v", err)
	}
}

// TestApproximations: the functions that stand for those of the library are near them.
func TestApproximations(t *testing.T) {
	for x := 0.0; x <= 1; x += 0.01 {
		for _, p := range []float64{0.78, 1, 1.22} {
			if got, want := power(x, p), math.Pow(x, p); math.Abs(got-want) > 0.025 {
				t.Errorf("power(%v, %v) = %v, want about %v", x, p, got, want)
			}
		}
		if d := 3 * x; math.Abs(dim(d)-math.Exp(-d)) > 0.04 {
			t.Errorf("dim(%v) = %v, want about %v", d, dim(d), math.Exp(-d))
		}
	}
	r := newRandom(1)
	var sum, squares float64
	const n = 20000
	for range n {
		v := r.normal()
		sum, squares = sum+v, squares+v*v
	}
	if mean, dev := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 0.03 || math.Abs(dev-1) > 0.03 {
		t.Errorf("normal numbers have mean %v and deviation %v", mean, dev)
	}
}
