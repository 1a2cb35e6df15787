package lora

import (
	"fmt"
	"strings"
	"testing"

	"melo.example/melo/compute"
	"melo.example/melo/internal/golden"
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
		{"dinov3", []string{"lora"}}, {"dinov3_gated", []string{"lora"}}, {"timm_dinov3", []string{"lora", "loraall"}},
		{"timm_dinov3_plus", []string{"lora"}}, {"timm_eva02_small", []string{"lora"}}, {"timm_eva02_base", []string{"lora"}},
		{"timm_eva02_clip", []string{"lora"}}, {"siglip", []string{"lora"}}, {"siglip_class", []string{"lora"}}, {"timm_siglip", []string{"lora"}},
		{"beit", []string{"lora"}}, {"beit_shared", []string{"lora"}}, {"data2vec", []string{"lora"}}, {"timm_beit", []string{"lora"}},
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
	m, err := vit.Open(c.Dir, vit.Options{Workers: pool, Image: c.Tensor("input").Shape[2]})
	if err != nil {
		t.Fatal(err)
	}
	a := goldenAdapter(c, prefix, 2)
	if err := a.Check(&m.Config); err != nil {
		t.Fatal(err)
	}
	tr, err := m.NewTrainer(2, compute.Training{Deltas: a.deltas()})
	if err != nil {
		t.Fatal(err)
	}
	feat := tr.Forward(c.Data("input"), 2, true)
	var dfeat []float32
	if m.Head == nil {
		c.Check(t, prefix+"pooled", feat, logitTol)
		dfeat = c.Data("dpooled")
	} else {
		y := make([]float32, 2*m.Classes)
		m.Logits(y, feat)
		c.Check(t, prefix+"logits", y, logitTol)
		dfeat = headInputGrad(m, c.Data("dlogits"), feat)
	}
	tr.Backward(dfeat)
	if len(tr.Params()) == 0 {
		t.Fatal("no deltas in the case")
	}
	for i, d := range a.Deltas {
		name := fmt.Sprintf("%s.grad.block.%d.%v", prefix, d.Site.Block, d.Site.Kind)
		c.Check(t, name+".A", tr.Params()[2*i].Grad, gradTol)
		c.Check(t, name+".B", tr.Params()[2*i+1].Grad, gradTol)
	}
}

// headInputGrad is the gradient of the features through the base's head, or the mean of its two heads.
func headInputGrad(m *vit.Model, dl, feat []float32) []float32 {
	n := m.Features()
	d := make([]float32, len(feat))
	heads := []*vit.Head{m.Head}
	if m.HeadDist != nil {
		heads = append(heads, m.HeadDist)
		for i := range dl {
			dl[i] *= 0.5
		}
	}
	for i, h := range heads {
		for r := range len(feat) / n {
			at := r*n + i*h.Features
			h.Backward(make([]float32, len(h.W)), make([]float32, len(h.Bias)),
				d[at:at+h.Features], dl[r*h.Classes:(r+1)*h.Classes], feat[at:at+h.Features])
		}
	}
	return d
}
