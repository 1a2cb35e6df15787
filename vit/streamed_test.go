package vit

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/golden"
	"melo.example/melo/internal/par"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
	"melo.example/melo/vit/checkpoint"
)

// TestStreamed: a base whose blocks come one by one gives the bits of one that is open, in each precision, with another
// pooling and with an adapter.
func TestStreamed(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(golden.Root(t), "*", "model.safetensors"))
	if err != nil || len(dirs) < 20 {
		t.Fatalf("%d golden models, %v", len(dirs), err)
	}
	pool := par.New(2)
	t.Cleanup(pool.Close)
	for _, file := range dirs {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			for _, p := range []Precision{F32, BF16, I8} {
				if !Supports(p) {
					continue
				}
				if p == BF16 && !slices.Contains([]string{"dinov2", "timm_vit"}, filepath.Base(dir)) {
					continue // the others differ in nothing that depends on it
				}
				for _, pooling := range []string{"", "class+mean"} {
					o := Options{Precision: p, Pool: pooling, Workers: pool}
					m, err := Open(dir, o)
					if err != nil {
						if pooling != "" {
							continue // it has no class token
						}
						t.Fatal(err)
					}
					if pooling != "" && p != F32 {
						continue
					}
					site := Site{Block: m.Depth - 1, Kind: V}
					in, out := m.SiteDims(site)
					d := compute.Delta{Site: site, Rank: 1, Scale: 1, A: compute.Numbers{F32: wave(in)}, B: compute.Numbers{F32: wave(out)}}
					x := wave(2 * m.Channels * m.Image * m.Image)
					for _, s := range [][]compute.Segment{nil, {{Adapter: compute.NewAdapter([]compute.Delta{d}, nil, p), Images: 2}}} {
						want := m.NewEngine(2).Features(x, 2, s...)
						got, err := Streamed(dir, o, x, 2, s...)
						if err != nil {
							t.Fatal(err)
						}
						if !slices.Equal(got, want) {
							t.Errorf("%v, pooling %q, %d segments: other features", p, pooling, len(s))
						}
					}
				}
			}
		})
	}
}

func wave(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i%17)/17 - 0.4
	}
	return v
}

// TestMemoryOfLoading: opening a base takes the memory of its packed weights and of a block, in the names that pack
// without a copy (timm's) and those that join maps first (transformers'), from float32 and from bfloat16; Streamed takes
// that of one block. What is allocated in all is counted: no collector can be blamed or thanked.
func TestMemoryOfLoading(t *testing.T) {
	pool := par.New(2)
	t.Cleanup(pool.Close)
	c := Config{Family: "vit", Width: 192, Depth: 24, Heads: 3, MLP: 768, Image: 32, Patch: 16, Channels: 3, Class: true, PosPrefix: true,
		FinalNorm: true, QKVBias: true, Act: arch.GELUErf, Eps: 1e-6}
	m := Random(pool, c, F32, 0.05, 1)
	m.Recipe = recipeOf(t)
	d := checkpoint.Description{Config: m.Config, Recipe: m.Recipe}
	block := 4 * (4*c.Width*c.Width + 2*c.Width*c.MLP)
	all := c.Depth * block
	x := wave(3 * c.Image * c.Image)
	for name, write := range map[string]func(*checkpoint.Description, func(string) []float32, safetensors.DType) (*checkpoint.Exported, error){
		"timm": checkpoint.TimmFolder, "hf": checkpoint.HFFolder,
	} {
		for _, dtype := range []safetensors.DType{safetensors.F32, safetensors.BF16} {
			dir := t.TempDir()
			folder, err := write(&d, m.Parameter, dtype)
			if err != nil {
				t.Fatal(err)
			}
			if err := safetensors.WriteFile(filepath.Join(dir, "model.safetensors"), 0o600, folder.Tensors, nil); err != nil {
				t.Fatal(err)
			}
			for file, text := range folder.Files {
				if err := atomicfile.Write(filepath.Join(dir, file), 0o600, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
					t.Fatal(err)
				}
			}
			for p, packed := range map[Precision]int{F32: all, BF16: all / 2, I8: all / 4} {
				if !Supports(p) {
					continue
				}
				o := Options{Precision: p, Workers: pool}
				got := allocated(t, func() (err error) { _, err = Open(dir, o); return err })
				// a sixth: vectors, scales and sums of outputs, headers, which differ between kernel sets; a block more: room for
				// joined maps, which grows
				if limit := packed + packed/6 + 2*block; got > limit {
					t.Errorf("%s in %s, %v: %d bytes, expected at most %d", name, dtype, p, got, limit)
				}
				got = allocated(t, func() (err error) { _, err = Streamed(dir, o, x, 1); return err })
				if limit := 3*block + block/2; got > limit {
					t.Errorf("%s in %s, %v: streamed: %d bytes, expected at most %d of %d", name, dtype, p, got, limit, all)
				}
			}
		}
	}
}

func allocated(t *testing.T, do func() error) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := do(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// recipeOf is some complete recipe.
func recipeOf(t *testing.T) imaging.Recipe {
	m, err := Open(filepath.Join(golden.Root(t), "timm_vit"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := m.Recipe
	r.Size, r.Resize = 32, 32
	return r
}

// TestStreamedCutShort: a file that somebody shortens between two blocks is an error, not the end of the process.
func TestStreamedCutShort(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files are not mapped here")
	}
	dir := filepath.Join(t.TempDir(), "base")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(golden.Root(t), "timm_vit"))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "model.safetensors")
	find := func(o checkpoint.Options) (*checkpoint.Checkpoint, error) {
		c, err := checkpoint.Open(dir, o)
		if err != nil {
			return nil, err
		}
		return c, os.Truncate(file, 1<<13)
	}
	_, err := streamed(Options{}, find, wave(3*16*16), 1, nil)
	if !errors.Is(err, safetensors.ErrChanged) {
		t.Errorf("got %v", err)
	}
}
