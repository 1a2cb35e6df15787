package checkpoint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/safetensors"
)

// TestWithDType: config.json says which type the tensors now have.
func TestWithDType(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(golden.Root(t), "hf_vit", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(withDType(text, safetensors.BF16)); !strings.Contains(got, `"dtype": "bfloat16"`) {
		t.Errorf("config.json still says %s", got)
	}
}

func TestTimmShape(t *testing.T) {
	for _, c := range []struct {
		name        string
		shape, want []int
	}{
		{"pos_embed", []int{17, 48}, []int{1, 17, 48}}, {"cls_token", []int{48}, []int{1, 1, 48}}, {"reg_token", []int{1, 4, 48}, []int{1, 4, 48}},
		{"norm.weight", []int{48}, []int{48}}, {"head.weight", []int{5, 48}, []int{5, 48}},
	} {
		if got := timmShape(c.name, c.shape); !slices.Equal(got, c.want) {
			t.Errorf("%s %v: %v, expected %v", c.name, c.shape, got, c.want)
		}
	}
}
