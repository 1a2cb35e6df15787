package vit

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/internal/golden"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/safetensors"
)

// goldenKinds are the model folders of testdata/golden with the side of the input where it is not that
// of the file.
var goldenKinds = map[string]int{
	"hf_vit": 0, "hf_vit_pooler": 0, "hf_vit_resized": 24, "timm_vit": 0, "timm_vit_meanpool": 0, "timm_vit_resized": 24,
	"deit": 0, "deit_teacher": 0, "timm_deit_distilled": 0, "dino": 0, "mae": 0,
	"dinov2": 0, "dinov2_head": 0, "dinov2_reg": 0, "dinov2_resized": 16, "dinov2_reg_resized": 24,
	"dinov3": 0, "dinov3_gated": 0, "dinov3_resized": 28, "timm_dinov3": 20, "timm_dinov3_plus": 12,
	"timm_eva02_small": 0, "timm_eva02_base": 0, "timm_eva02_clip": 0,
	"siglip": 0, "siglip_resized": 25, "siglip_class": 0, "timm_siglip": 0, "beit": 0, "beit_shared": 0, "data2vec": 0, "timm_beit": 0,
	"timm_dinov2": 0, "timm_dinov2_reg": 0, "clip_vision": 0, "clip_vision_bare": 0, "timm_clip": 0,
}

// tapTol is relative to the largest value of a tensor: float32 rounding of a few chained layers of width
// 24 to 48, against float64.
const tapTol = 2e-5

// gradTol allows for the longer chain of backward and for cancellation in sums over tokens.
const gradTol = 1e-4

func openGolden(t *testing.T, kind string) (*golden.Case, *model, *engine) {
	t.Helper()
	c := golden.Open(t, kind)
	pool := testPool(2, t.Cleanup)
	m, err := Open(c.Dir, Options{Image: goldenKinds[kind], Workers: pool})
	if err != nil {
		t.Fatal(err)
	}
	return c, inside(m), newEngine(inside(m), pool, 2, m.Depth)
}

// TestGoldenTaps compares every stage of the forward pass with PyTorch, first stage first.
func TestGoldenTaps(t *testing.T) {
	for kind := range goldenKinds {
		t.Run(kind, func(t *testing.T) {
			c, m, e := openGolden(t, kind)
			seen := 0
			e.Tap = func(stage string, x kernel.Mat) {
				name := "tap." + stage
				// A distilled model's features are both tokens; timm's pooled vector is their mean.
				if !c.Has(name) || (stage == "pooled" && m.Pooling == PoolClassDist) || t.Failed() {
					return
				}
				seen++
				c.Check(t, name, x.Clone().Data, tapTol)
			}
			feat := e.Forward(c.Data("input"), 2, nil)
			if seen < m.Depth+1 {
				t.Fatalf("only %d stages compared", seen)
			}
			if c.Has("logits") {
				y := make([]float32, 2*m.Classes)
				m.Logits(y, feat.Data)
				c.Check(t, "logits", y, tapTol)
			}
		})
	}
}

// TestGoldenGradients compares the gradient of every weight with PyTorch. The gradients are loaded as if
// they were a model, so that the name maps and the fusing of q, k and v are those of the loader.
func TestGoldenGradients(t *testing.T) {
	for kind := range goldenKinds {
		if strings.HasSuffix(kind, "_resized") {
			continue // taps only: the gradient of the resizing itself is nobody's parameter
		}
		t.Run(kind, func(t *testing.T) {
			c, m, inf := openGolden(t, kind)
			f := newFull(inf.ex, m)
			e := newEngine(f.Model, inf.ex.Pool(), 2, 0)
			e.EnableFull()
			feat := e.Forward(c.Data("input"), 2, nil)
			e.Backward(featureGrad(c, m, feat), nil, &f.Grads)
			want := newFull(inf.ex, gradientModel(t, c, inf.ex)).Params()
			for i, p := range f.Params() {
				if p.Name != want[i].Name {
					t.Fatalf("parameter %d is %s here, %s in the golden model", i, p.Name, want[i].Name)
				}
				checkGradientTensor(t, p.Name, p.Grad, want[i].Data)
			}
		})
	}
}

// checkGradientTensor compares one gradient. The key bias has none in exact arithmetic (softmax ignores
// a shift of all scores), so the k half of a fused kv bias is left out.
func checkGradientTensor(t *testing.T, name string, got, want []float32) {
	t.Helper()
	if strings.HasSuffix(name, ".kv.bias") {
		got, want = got[len(got)/2:], want[len(want)/2:]
	}
	golden.CheckSlices(t, name, got, want, gradTol)
}

// featureGrad is the gradient of the case's loss with respect to the features: the stored one, or the
// stored gradient of the logits through the base's head or heads.
func featureGrad(c *golden.Case, m *model, feat kernel.Mat) kernel.Mat {
	if c.Has("dpooled") {
		return kernel.View(c.Data("dpooled"), 2, feat.Cols)
	}
	d := kernel.NewMat(2, feat.Cols)
	dl := kernel.View(c.Data("dlogits"), 2, m.Classes)
	heads := []*compute.Head{m.Head}
	if m.HeadDist != nil {
		heads = append(heads, m.HeadDist)
	}
	for i := range 2 {
		for k, h := range heads {
			for class := range h.Classes {
				kernel.Axpy(d.Row(i)[k*h.Features:(k+1)*h.Features], h.W[class*h.Features:(class+1)*h.Features],
					dl.Row(i)[class]/float32(len(heads)))
			}
		}
	}
	return d
}

// gradientModel loads the case's gradients under the names of its weights; zero where it has none.
func gradientModel(t *testing.T, c *golden.Case, ex *kernel.Exec) *model {
	t.Helper()
	dir := t.TempDir()
	file := c.OpenFile("model.safetensors")
	var tensors []safetensors.TensorData
	for _, name := range file.Names("") {
		w := file.Tensor(name)
		values := make([]float32, len(w.Data))
		if c.Has("grad." + name) {
			values = c.Data("grad." + name)
		}
		x, err := safetensors.FromFloat32s(name, safetensors.F32, w.Shape, values)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, x)
	}
	if err := safetensors.WriteFile(filepath.Join(dir, "model.safetensors"), 0o600, tensors, nil); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(c.Dir, "config.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(dir, Options{Workers: ex.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	return inside(m)
}

// TestSharedReference reproduces the float64 logits of a real ViT-Tiny.
func TestSharedReference(t *testing.T) {
	const dir = "../../shared/weights/vit_tiny"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no shared weights beside the checkout")
	}
	pool := testPool(2, t.Cleanup)
	m, err := Open(dir, Options{Workers: pool})
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(inside(m), pool, 4, m.Depth)
	feat := e.Forward(readFloats(t, dir+"/ref/input4_3x224x224_f32.bin"), 4, nil)
	logits := make([]float32, 4*m.Classes)
	m.Logits(logits, feat.Data)
	want := readFloats(t, dir+"/ref/logits4_200_f32.bin")
	d, err := golden.Compare(logits, want, 1)
	if err != nil {
		t.Fatal(err)
	}
	// The bound of the specification, where logits are of order 10.
	if d.MaxAbs > 1e-3 {
		t.Errorf("largest difference of logits %.3g, expected at most 1e-3", d.MaxAbs)
	}
	t.Logf("largest difference of logits %.3g at scale %.3g", d.MaxAbs, d.Scale)
}

func readFloats(t *testing.T, path string) []float32 {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, len(raw)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return x
}
