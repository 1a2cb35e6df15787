package lora

import (
	"fmt"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
	"melo.example/melo/vit"
)

// Relative tolerances: float32 rounding against float64 through two or three blocks; backward has the
// longer chain.
const (
	logitTol = 2e-5
	gradTol  = 1e-4
)

// goldenAdapter reads the deltas that a case stores under prefix ("lora", "loraall", "loralast").
func goldenAdapter(c *golden.Case, prefix string, scale float32) *Adapter {
	a := &Adapter{}
	for _, name := range c.Names(prefix + ".block.") {
		var block int
		var kind, factor string
		rest := strings.NewReplacer(".", " ").Replace(strings.TrimPrefix(name, prefix+".block."))
		if n, _ := fmt.Sscan(rest, &block, &kind, &factor); n != 3 || factor != "A" {
			continue
		}
		k, err := vit.ParseKind(kind)
		if err != nil {
			panic(err)
		}
		r := c.Tensor(name).Shape[0]
		a.Deltas = append(a.Deltas, Delta{Site: vit.Site{Block: block, Kind: k}, Rank: r, Alpha: scale * float32(r), Scale: scale,
			A: c.Data(name), B: c.Data(strings.TrimSuffix(name, "A") + "B")})
	}
	a.Sort()
	return a
}

// TestGoldenLoRA compares outputs and the gradients of A and B with PyTorch, for every kind of backbone.
func TestGoldenLoRA(t *testing.T) {
	for _, tc := range []struct {
		kind     string
		prefixes []string
	}{
		{"hf_vit", []string{"lora", "loraall", "loralast"}}, {"timm_vit", []string{"lora", "loraall"}},
		{"timm_vit_meanpool", []string{"lora"}}, {"deit", []string{"lora"}}, {"deit_teacher", []string{"lora"}},
		{"timm_deit_distilled", []string{"lora"}}, {"dino", []string{"lora"}}, {"mae", []string{"lora"}},
		{"dinov2", []string{"lora"}}, {"dinov2_head", []string{"lora"}}, {"dinov2_reg", []string{"lora"}},
		{"timm_dinov2", []string{"lora"}}, {"timm_dinov2_reg", []string{"lora"}},
		{"clip_vision", []string{"lora"}}, {"clip_vision_bare", []string{"lora"}}, {"timm_clip", []string{"lora"}},
	} {
		for _, prefix := range tc.prefixes {
			t.Run(tc.kind+"/"+prefix, func(t *testing.T) {
				checkGoldenLoRA(t, golden.Open(t, tc.kind), prefix)
			})
		}
	}
}

func checkGoldenLoRA(t *testing.T, c *golden.Case, prefix string) {
	pool := par.New(2)
	t.Cleanup(pool.Close)
	m, err := vit.Open(c.Dir, vit.Options{Exec: kernel.NewExec(pool)})
	if err != nil {
		t.Fatal(err)
	}
	a := goldenAdapter(c, prefix, 2)
	if err := a.Check(&m.Config); err != nil {
		t.Fatal(err)
	}
	tr := newTrainable(a, 0, 0)
	e := vit.NewEngine(m, pool, 2, a.Deltas[0].Site.Block)
	feat := e.Forward(c.Data("input"), 2, tr)
	var dfeat kernel.Mat
	if m.Head == nil {
		c.Check(t, prefix+"pooled", feat.Data, logitTol)
		dfeat = kernel.View(c.Data("dpooled"), 2, feat.Cols)
	} else {
		y := kernel.NewMat(2, m.Classes)
		m.Logits(y, feat)
		c.Check(t, prefix+"logits", y.Data, logitTol)
		dfeat = headInputGrad(m, kernel.View(c.Data("dlogits"), 2, m.Classes), feat)
	}
	e.Backward(dfeat, tr, nil)
	if len(tr.grads) == 0 {
		t.Fatal("no deltas in the case")
	}
	for i, d := range a.Deltas {
		name := fmt.Sprintf("%s.grad.block.%d.%v", prefix, d.Site.Block, d.Site.Kind)
		c.Check(t, name+".A", tr.grads[i].a, gradTol)
		c.Check(t, name+".B", tr.grads[i].b, gradTol)
	}
}

// headInputGrad is the gradient of the features through the base's head, or the mean of its two heads.
func headInputGrad(m *vit.Model, dl, feat kernel.Mat) kernel.Mat {
	d := kernel.NewMat(feat.Rows, feat.Cols)
	heads := []*vit.Head{m.Head}
	if m.HeadDist != nil {
		heads = append(heads, m.HeadDist)
		kernel.Scale(dl.Data, dl.Data, 0.5)
	}
	for i, h := range heads {
		headGrad(h, make([]float32, len(h.W)), make([]float32, len(h.Bias)),
			d.ColRange(i*h.Features, (i+1)*h.Features), dl, feat.ColRange(i*h.Features, (i+1)*h.Features))
	}
	return d
}
