package checkpoint

import "testing"

// TestHFDefaults: what a config.json leaves out is what the class of that model in transformers has, which differs: most have
// a LayerNorm epsilon of 1e-12, DINOv2 and MSN 1e-6, CLIP 1e-5.
func TestHFDefaults(t *testing.T) {
	for kind, want := range map[string]struct {
		eps       float64
		act       string
		ratio     float64
		registers int
	}{
		"vit":                   {1e-12, "gelu", 0, 0},
		"deit":                  {1e-12, "gelu", 0, 0},
		"vit_mae":               {1e-12, "gelu", 0, 0},
		"vit_msn":               {1e-6, "gelu", 0, 0},
		"dinov2":                {1e-6, "gelu", 4, 0},
		"dinov2_with_registers": {1e-6, "gelu", 4, 4},
		"clip_vision_model":     {1e-5, "quick_gelu", 0, 0},
	} {
		c, err := hfDefaults(kind)
		if err != nil {
			t.Fatal(err)
		}
		if float64(c.Eps) != want.eps && float64(float32(want.eps)) != float64(c.Eps) || c.Act != want.act || float64(c.MLPRatio) != want.ratio || c.Registers != want.registers {
			t.Errorf("%s: epsilon %v, %s, MLP ratio %v, %d registers; want %+v", kind, c.Eps, c.Act, c.MLPRatio, c.Registers, want)
		}
	}
	if _, err := hfDefaults("swin"); err == nil {
		t.Error("an unknown kind has defaults")
	}
}
