package melo

import (
	"errors"
	"strings"
	"testing"

	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// withSelfTest writes an adapter whose self-test asks for the logits that it has in float32, plus shift.
func withSelfTest(t *testing.T, shift float32) string {
	t.Helper()
	base := open(t, "hf_vit")
	adapter, err := base.Adapter(write(t, base, lora.Config{}, 4, adapterfile.Metadata{Task: adapterfile.Multiclass, Labels: labels(3)}))
	if err != nil {
		t.Fatal(err)
	}
	f, err := adapterfile.Read(adapter.Path())
	if err != nil {
		t.Fatal(err)
	}
	test := &adapterfile.SelfTest{Seed: 5}
	input := make([]float32, adapter.recipe.Values())
	adapterfile.SelfTestInput(input, test.Seed, 0)
	y, _, err := base.logits(adapter, input, 1)
	if err != nil {
		t.Fatal(err)
	}
	logits := y
	logits[0] += shift
	test.Logits = [][]float32{logits}
	f.Meta.SelfTest = test
	return writeFile(t, base, f)
}

// TestInPrecision: a narrow base is used where the self-test is answered, else the next precision, by name.
func TestInPrecision(t *testing.T) {
	base := open(t, "hf_vit")
	for _, p := range []Precision{BF16, I8} {
		if !vit.Supports(p) {
			var reasons []string
			b, _, err := OpenFor(withSelfTest(t, 0), base.Path(), InPrecision(p, func(r string) { reasons = append(reasons, r) }))
			if err != nil || b.model.Precision == p || len(reasons) != 1 || !strings.Contains(reasons[0], p.String()) {
				t.Errorf("%v, which the CPU lacks: got %v, reasons %q", p, err, reasons)
			}
			continue
		}
		var reasons []string
		report := func(r string) { reasons = append(reasons, r) }
		b, _, err := OpenFor(withSelfTest(t, 0), base.Path(), InPrecision(p, report))
		if err != nil {
			t.Fatal(err)
		}
		if got := b.model.Precision; got != p || len(reasons) > 0 {
			t.Errorf("%v: opened in %v, reasons %q", p, got, reasons)
		}
		if _, err := b.Adapter(withSelfTest(t, 3)); !errors.As(err, new(*SelfCheckError)) {
			t.Errorf("%v: an adapter that answers otherwise: got error %v", p, err)
		}
		b.Close()
		b, _, err = OpenFor(withSelfTest(t, 3), base.Path(), InPrecision(p, report))
		if err != nil {
			t.Fatal(err)
		}
		if got := b.model.Precision; got != F32 || !strings.Contains(strings.Join(reasons, "\n"), "in "+p.String()) {
			t.Errorf("%v, with a wrong self-test: opened in %v, reasons %q", p, got, reasons)
		}
		b.Close()
	}
}
