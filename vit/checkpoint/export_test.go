package checkpoint

import (
	"os"
	"path/filepath"
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
