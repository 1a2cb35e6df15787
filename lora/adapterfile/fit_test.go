package adapterfile

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"melo.example/melo/fit"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
)

// withFit is an adapter that knows its training images.
func withFit(t *testing.T) *File {
	t.Helper()
	f := example(t, tiny(), lora.Config{}, Labels("a", "b"))
	s := &fit.Sample{Size: 16}
	for i := range 60 * 16 {
		s.X = append(s.X, float32((i*i*31+i*7)%101)/50)
	}
	d, chosen, err := fit.Estimate(s, nil, fit.DefaultRefusal)
	if err != nil {
		t.Fatal(err)
	}
	f.Fit, f.Meta.Fit = d, &Fit{Block: 1, Images: 60, On: "train", OnImages: chosen.Images, Refusal: chosen.Refusal, Expected: chosen.Expected, Policy: FitRefuse}
	return f
}

func written(f *File) ([]byte, error) {
	text, tensors, err := f.content(Compact(safetensors.F32))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = safetensors.Write(&b, tensors, map[string]string{metadataKey: text})
	return b.Bytes(), err
}

// A description comes back bit for bit, and so does what is said of it.
func TestFitIsStored(t *testing.T) {
	f := withFit(t)
	data, err := written(f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(data, "x")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Fit, f.Fit) || !reflect.DeepEqual(got.Meta.Fit, f.Meta.Fit) || !got.Meta.Refuses() || f.Fit.Rank() == 0 {
		t.Errorf("got %+v of %+v, expected %+v of %+v", got.Meta.Fit, got.Fit, f.Meta.Fit, f.Fit)
	}
	if err := got.CheckBase(tiny(), ""); err != nil {
		t.Error(err)
	}
	other := *tiny()
	other.Class, other.PosPrefix = false, false
	if err := got.CheckBase(&other, ""); err == nil || !strings.Contains(err.Error(), "fit") {
		t.Errorf("a base without a class token: %v", err)
	}
}

// What a file claims of its description and does not hold is refused by name.
func TestFitIsChecked(t *testing.T) {
	for name, change := range map[string]func(f *File){
		"expected 8 or 16":    func(f *File) { f.Fit.Size = 12 },
		"before block 0":      func(f *File) { f.Meta.Fit.Block = 0 },
		"policy":              func(f *File) { f.Meta.Fit.Policy = "perhaps" },
		"val or train":        func(f *File) { f.Meta.Fit.On = "" },
		"shares":              func(f *File) { f.Meta.Fit.Refusal = 2 },
		"without its descrip": func(f *File) { f.Fit = nil },
		"variance":            func(f *File) { f.Fit.Variances[0] = 0 },
		"scores do not":       func(f *File) { f.Fit.Scores[0] = 99 },
	} {
		f := withFit(t)
		change(f)
		if _, err := written(f); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(name, "expected 8 or 16")) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	f := withFit(t)
	text, tensors, err := f.content(Compact(safetensors.F32))
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range tensors {
		if !strings.HasPrefix(x.Name, "fit.") {
			continue
		}
		rest := append(append([]safetensors.TensorData{}, tensors[:i]...), tensors[i+1:]...)
		var b bytes.Buffer
		if err := safetensors.Write(&b, rest, map[string]string{metadataKey: text}); err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(b.Bytes(), "x"); err == nil || !strings.Contains(err.Error(), x.Name) {
			t.Errorf("without %s: error %v", x.Name, err)
		}
	}
}
