package dataset

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/imaging"
)

var testRecipe = imaging.Recipe{Size: 6, Interpolation: imaging.Bilinear,
	Mean: [3]float32{0.5, 0.4, 0.3}, Std: [3]float32{0.5, 0.25, 0.2}}

var allAugment = Augment{Flip: true, FlipVertical: true, Crop: 0.5, Rotate: 20, Brightness: 0.3, Contrast: 0.3}

// folderOf is a data set of n pictures in two classes.
func folderOf(t testing.TB, n int) *Dataset {
	t.Helper()
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("%c/%03d.png", 'a'+i%2, i)] = fmt.Sprint("#", i)
	}
	d, err := Open(write(t, files), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func all(d *Dataset) []int {
	indices := make([]int, len(d.Samples))
	for i := range indices {
		indices[i] = i
	}
	return indices
}

func newLoader(t testing.TB, d *Dataset, opt LoaderOptions) *Loader {
	t.Helper()
	l, err := NewLoader(d, all(d), testRecipe, opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// epochDigest runs an epoch and returns a hash of everything in it, bit by bit.
func epochDigest(t testing.TB, l *Loader, epoch int) uint64 {
	t.Helper()
	h := fnv.New64a()
	n := 0
	for b, err := range l.Epoch(t.Context(), epoch) {
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Images) != b.N*l.recipe.Values() || len(b.Labels) != b.N || len(b.Indices) != b.N || len(b.Targets) != b.N*len(l.ds.Labels) {
			t.Fatalf("lengths do not fit %d samples", b.N)
		}
		fmt.Fprint(h, b.N, b.Indices, b.Labels, b.Targets)
		for _, v := range b.Images {
			bits := math.Float32bits(v)
			h.Write([]byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)})
		}
		n += b.N
	}
	if n != l.Samples()-len(l.Bad()) {
		t.Fatalf("%d samples, expected %d", n, l.Samples())
	}
	return h.Sum64()
}

// TestLoaderDeterministic: numbers follow from the seed, not from workers, buffers or the cache.
func TestLoaderDeterministic(t *testing.T) {
	d := folderOf(t, 41)
	for _, augment := range []Augment{{}, {Flip: true}, allAugment} {
		opt := LoaderOptions{Batch: 8, Workers: 1, Shuffle: true, Seed: 9, Augment: augment}
		reference := newLoader(t, d, opt)
		want := []uint64{epochDigest(t, reference, 0), epochDigest(t, reference, 1)}
		if want[0] == want[1] {
			t.Error("two epochs are equal")
		}
		for _, workers := range []int{1, 2, 7} {
			for _, cache := range []int64{0, 1000, 1 << 20} {
				opt.Workers, opt.CacheBytes, opt.Ahead = workers, cache, workers
				l := newLoader(t, d, opt)
				for _, epoch := range []int{1, 0, 1} { // in any order
					if got := epochDigest(t, l, epoch); got != want[epoch] {
						t.Errorf("%+v, %d workers, cache %d: epoch %d differs", augment, workers, cache, epoch)
					}
				}
			}
		}
		opt.Seed = 10
		if epochDigest(t, newLoader(t, d, opt), 0) == want[0] {
			t.Error("another seed gives the same epoch")
		}
	}
}

// TestLoaderFrom: an epoch entered in the middle has the batches that it would have had.
func TestLoaderFrom(t *testing.T) {
	l := newLoader(t, folderOf(t, 21), LoaderOptions{Batch: 4, Shuffle: true, Seed: 2, Augment: allAugment})
	type seen struct {
		indices []int
		images  []float32
	}
	read := func(from int) map[int]seen {
		all := map[int]seen{}
		for b, err := range l.EpochFrom(t.Context(), 3, from) {
			if err != nil {
				t.Fatal(err)
			}
			all[b.Number] = seen{slices.Clone(b.Indices), slices.Clone(b.Images)}
		}
		return all
	}
	whole := read(0)
	for n, samples := range l.Plan(3) {
		if !slices.Equal(samples, whole[n].indices) {
			t.Errorf("batch %d: planned %v, got %v", n, samples, whole[n].indices)
		}
	}
	for from := range l.Batches() + 1 {
		rest := read(from)
		if len(rest) != l.Batches()-from {
			t.Errorf("from %d: %d batches", from, len(rest))
		}
		for n, b := range rest {
			if n < from || !slices.Equal(b.indices, whole[n].indices) || !slices.Equal(b.images, whole[n].images) {
				t.Errorf("from %d: batch %d differs", from, n)
			}
		}
	}
}

// TestLoaderEqualsRecipe: without augmentation a batch is what the recipe makes of each file.
func TestLoaderEqualsRecipe(t *testing.T) {
	d := folderOf(t, 5)
	recipe := testRecipe
	recipe.Resize = 8
	l, err := NewLoader(d, []int{4, 0, 2}, recipe, LoaderOptions{Batch: 2, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float32, recipe.Values())
	for range 2 { // from disk, from the cache
		var seen []int
		for b, err := range l.Epoch(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			for k, i := range b.Indices {
				img, err := imaging.DecodeFile(d.File(i))
				if err != nil {
					t.Fatal(err)
				}
				if err := recipe.Apply(img, want); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(b.Images[k*len(want):(k+1)*len(want)], want) {
					t.Errorf("sample %d differs from the recipe", i)
				}
				if b.Labels[k] != d.Samples[i].Label || b.Targets[2*k+b.Labels[k]] != 1 || b.Targets[2*k+1-b.Labels[k]] != 0 {
					t.Errorf("sample %d: label %d, targets %v", i, b.Labels[k], b.Targets[2*k:2*k+2])
				}
			}
			seen = append(seen, b.Indices...)
		}
		if !slices.Equal(seen, []int{4, 0, 2}) {
			t.Errorf("order %v", seen)
		}
	}
}

func TestLoaderReadsOnce(t *testing.T) {
	d := folderOf(t, 12)
	l := newLoader(t, d, LoaderOptions{Batch: 5, CacheBytes: 1 << 20, Shuffle: true, Augment: allAugment})
	epochDigest(t, l, 0)
	if err := os.RemoveAll(d.Root); err != nil {
		t.Fatal(err)
	}
	epochDigest(t, l, 1) // fails if it reads
	if l.CachedBytes() == 0 || l.CachedBytes() > 12*81 {
		t.Errorf("cache of %d bytes", l.CachedBytes())
	}
}

func TestLoaderBadFiles(t *testing.T) {
	d := folderOf(t, 10)
	for _, i := range []int{3, 7} {
		if err := os.WriteFile(d.File(i), []byte("\x89PNG\r\n\x1a\nbroken"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := newLoader(t, d, LoaderOptions{Batch: 4})
	var failure error
	for _, err := range l.Epoch(t.Context(), 0) {
		failure = err
	}
	if failure == nil || !strings.Contains(failure.Error(), d.File(3)) {
		t.Errorf("got %v, expected the first broken file", failure)
	}
	l = newLoader(t, d, LoaderOptions{Batch: 4, MaxBad: 2, Shuffle: true, CacheBytes: 1 << 20})
	for epoch := range 3 {
		epochDigest(t, l, epoch)
	}
	bad := l.Bad()
	if len(bad) != 2 || bad[0].Index != 3 || bad[1].Path != d.File(7) || bad[1].Err == nil {
		t.Errorf("bad files: %v", bad)
	}
	l = newLoader(t, d, LoaderOptions{Batch: 4, MaxBad: 1})
	for _, err := range l.Epoch(t.Context(), 0) {
		failure = err
	}
	if failure == nil || !strings.Contains(failure.Error(), "2 unreadable images, 1 are allowed") {
		t.Errorf("got %v", failure)
	}
}

func TestLoaderStops(t *testing.T) {
	d := folderOf(t, 30)
	l := newLoader(t, d, LoaderOptions{Batch: 3, Workers: 3})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got error
	n := 0
	for _, err := range l.Epoch(ctx, 0) {
		if n++; n == 2 {
			cancel()
		}
		got = err
	}
	if !errors.Is(got, context.Canceled) || n > 4 {
		t.Errorf("after cancelling: %v at batch %d", got, n)
	}
	for range l.Epoch(t.Context(), 0) { // the loader can be used again, and left early
		break
	}
	for range l.Epoch(t.Context(), 0) {
		for _, err := range l.Epoch(t.Context(), 0) {
			if !errors.Is(err, errBusy) {
				t.Errorf("an epoch within an epoch: %v", err)
			}
		}
		break
	}
	epochDigest(t, l, 1)
	if l.WaitSeconds() <= 0 {
		t.Error("no time was spent waiting")
	}
}

func TestNewLoaderRefuses(t *testing.T) {
	d := folderOf(t, 4)
	for _, c := range []struct {
		indices []int
		recipe  imaging.Recipe
		opt     LoaderOptions
		want    string
	}{
		{nil, testRecipe, LoaderOptions{}, "no samples"},
		{[]int{4}, testRecipe, LoaderOptions{}, "index 4"},
		{[]int{0}, imaging.Recipe{}, LoaderOptions{}, "size 0"},
		{[]int{0}, testRecipe, LoaderOptions{Augment: Augment{Crop: 2}}, "crop is 2"},
		{[]int{0}, testRecipe, LoaderOptions{Augment: Augment{Rotate: math.NaN()}}, "rotate is NaN"},
		{[]int{0}, testRecipe, LoaderOptions{Augment: Augment{CropAspect: 0.5}}, "crop_aspect"},
	} {
		if _, err := NewLoader(d, c.indices, c.recipe, c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, expected %q", err, c.want)
		}
	}
}

// sharedData returns a folder of the real data sets, or skips.
func sharedData(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "shared", "data", name)
	if _, err := os.Stat(path); err != nil {
		t.Skip("no shared data")
	}
	return path
}

func TestSharedData(t *testing.T) {
	for _, c := range []struct {
		name    string
		task    Task
		samples int
		given   bool // a test split
	}{
		{"busi", MultiClass, 780, false}, {"ham10000", MultiClass, 2500, false},
		{"brain_mri", MultiClass, 4001, true}, {"cxr_pneumonia", Binary, 5808, true},
	} {
		d, err := Open(sharedData(t, c.name), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d.Task != c.task || len(d.Samples) != c.samples {
			t.Errorf("%s: %s with %d samples", c.name, d.Task, len(d.Samples))
		}
		parts := mustSplit(t, d, SplitOptions{Seed: 1})
		for p, part := range parts {
			if len(part) < c.samples/10 {
				t.Errorf("%s: %s has %d samples", c.name, splitNames[p], len(part))
			}
		}
		for _, i := range parts[2] {
			if c.given && d.Samples[i].Split != Test {
				t.Errorf("%s: %s is not of the given test split", c.name, d.Samples[i].Path)
			}
		}
		if warned := strings.Contains(strings.Join(d.Warnings, "\n"), "benign_433.png (benign) = malignant/malignant_145.png (malignant)"); warned != (c.name == "busi") {
			t.Errorf("%s: warnings %q", c.name, d.Warnings)
		}
		recipe := testRecipe
		recipe.Size = 32
		l, err := NewLoader(d, parts[1][:64], recipe, LoaderOptions{Augment: allAugment})
		if err != nil {
			t.Fatal(err)
		}
		epochDigest(t, l, 0)
	}
}

// BenchmarkEpoch loads 780 ultrasound images at 224: from disk, from the cache, and augmented.
func BenchmarkEpoch(b *testing.B) {
	d, err := Open(sharedData(b, "busi"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	recipe := imaging.Recipe{Size: 224, Interpolation: imaging.Bilinear, Std: [3]float32{1, 1, 1}}
	for _, c := range []struct {
		name    string
		cache   int64
		augment Augment
	}{{"disk", 0, Augment{}}, {"cache", 1 << 30, Augment{}}, {"flip", 1 << 30, Augment{Flip: true, Brightness: 0.1}}, {"all", 1 << 30, allAugment}} {
		b.Run(c.name, func(b *testing.B) {
			l, err := NewLoader(d, all(d), recipe, LoaderOptions{CacheBytes: c.cache, Augment: c.augment, Workers: 1})
			if err != nil {
				b.Fatal(err)
			}
			if c.cache > 0 {
				epochDigest(b, l, 0)
			}
			for b.Loop() {
				for _, err := range l.Epoch(b.Context(), 0) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(d.Samples)), "µs/image")
		})
	}
}

// BenchmarkDisk loads images of each shared set from disk at 224 with the default kind of augmentation, on one
// core: run it with -cpu 1.
func BenchmarkDisk(b *testing.B) {
	recipe := imaging.Recipe{Size: 224, Interpolation: imaging.Bilinear, Mean: [3]float32{0.5, 0.5, 0.5}, Std: [3]float32{0.5, 0.5, 0.5}}
	for _, name := range []string{"busi", "ham10000", "brain_mri", "cxr_pneumonia"} {
		b.Run(name, func(b *testing.B) {
			d, err := Open(sharedData(b, name), Options{})
			if err != nil {
				b.Fatal(err)
			}
			every := len(d.Samples) / 400
			var some []int
			for i := 0; i < len(d.Samples); i += every {
				some = append(some, i)
			}
			l, err := NewLoader(d, some, recipe, LoaderOptions{Augment: Augment{Flip: true, Crop: 0.7, Rotate: 10, Brightness: 0.15, Contrast: 0.15}, Workers: 1})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for _, err := range l.Epoch(b.Context(), 0) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N*len(some))/b.Elapsed().Seconds(), "images/s")
		})
	}
}
