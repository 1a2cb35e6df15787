package processor

import (
	"strings"
	"testing"

	"melo.example/melo/imaging"
)

func TestTransformersRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"image_processor_type":"SamImageProcessor"}`: "SamImageProcessor",
		`{"do_pad":true}`: "do_pad",
		`{"auto_map":{"AutoImageProcessor":"x.Y"}}`:                  "auto_map",
		`{"size":{"height":224,"width":200}}`:                        "square",
		`{"size":{"longest_edge":224}}`:                              "longest_edge",
		`{"size":{"max_height":224,"max_width":224}}`:                "max_height",
		`{"resample":0}`:                                             "resample 0",
		`{"resample":4}`:                                             "box",
		`{"image_mean":[0.5]}`:                                       "image_mean",
		`{"do_center_crop":true}`:                                    "crop_size",
		`{"do_center_crop":true,"crop_size":{"height":1,"width":2}}`: "crop_size",
		`{"rescale_factor":-1}`:                                      "rescale_factor",
		`{"crop_pct":0.9}`:                                           "crop_pct",
		`{"resampling":"opencv"}`:                                    "opencv",
		`[]`:                                                         "JSON",
		`{"size":"large"}`:                                           "size",
		`{"image_processor_type":"DINOv3ViTImageProcessor","resampling":"pillow"}`: "pillow",
		`{"image_processor_type":"DINOv3ViTImageProcessor","resample":3}`:          "bicubic",
	} {
		if _, _, err := Transformers("vit", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, expected %q", text, err, want)
		}
	}
	for _, text := range []string{`{"do_pad":false}`, `{"crop_size":null,"auto_map":null}`, `{"do_convert_rgb":true}`} {
		if _, _, err := Transformers("vit", []byte(text), nil); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTransformersNone(t *testing.T) {
	for _, other := range [][]byte{nil, []byte(`{"processor_class":"CLIPProcessor"}`)} {
		if _, given, err := Transformers("clip", nil, other); given || err != nil {
			t.Errorf("%s: %t, %v", other, given, err)
		}
	}
	r, given, err := Transformers("clip", []byte(`{"size":100}`), []byte(`{"image_processor":{"size":64}}`))
	if err != nil || !given || r.Resize != 64 {
		t.Errorf("%+v, %v: expected the one of processor_config.json", r, err)
	}
}

func TestTimmRefuses(t *testing.T) {
	half, none := 0.5, 0.0
	for _, c := range []struct {
		cfg  TimmConfig
		want string
	}{
		{TimmConfig{InputSize: []int{3, 1, 2}}, "input_size"},
		{TimmConfig{CropMode: "border"}, "border"},
		{TimmConfig{CropBorder: &half}, "crop_border"},
		{TimmConfig{Std: []float64{1}}, "std"},
	} {
		if _, err := c.cfg.Recipe(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
	if r, err := (&TimmConfig{CropPct: &none, CropBorder: &none}).Recipe(); err != nil || r.Resize != 256 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Every row of the table is a recipe.
func TestTimmTable(t *testing.T) {
	n := 0
	for line := range strings.Lines(timmTable) {
		name, _, ok := strings.Cut(line, "\t")
		if strings.HasPrefix(line, "#") || !ok {
			continue
		}
		n++
		c, ok := TimmDefault(name)
		if !ok {
			t.Fatalf("%q", name)
		}
		if r, err := c.Recipe(); err != nil || r.Validate() != nil {
			t.Errorf("%s: %v %v", name, err, r.Validate())
		}
	}
	if n < 400 {
		t.Errorf("%d rows", n)
	}
	c, ok := TimmDefault("vit_base_patch16_224.mae")
	if r, err := c.Recipe(); !ok || err != nil || r.Mean != meanImageNet || r.Resize != 248 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, ok := TimmDefault("vit_custom"); ok {
		t.Error("a default for a name that timm does not have")
	}
}

func TestOpenCLIPRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"resize_mode":"longest"}`: "longest", `{"mode":"L"}`: "mode", `{"size":[224,196]}`: "size", `{"gamma":1}`: "gamma", `{"mean":[1]}`: "mean",
	} {
		if _, err := OpenCLIP([]byte(text), 224); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestOverride(t *testing.T) {
	r := imaging.Recipe{}
	o := Override{Mean: "imagenet", Std: "0.1, 0.2,0.3", Size: 224, Crop: "0.875", Interpolation: imaging.Bicubic}
	if err := o.Apply(&r); err != nil || r.Validate() != nil {
		t.Fatal(err, r.Validate())
	}
	want := imaging.Recipe{Size: 224, Resize: 256, Interpolation: imaging.Bicubic, Mean: meanImageNet, Std: [3]float32{0.1, 0.2, 0.3}}
	if r != want {
		t.Errorf("got %+v, expected %+v", r, want)
	}
	if err := (Override{Size: 448}).Apply(&r); err != nil || r.Resize != 512 || r.Size != 448 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := (Override{Crop: "squash"}).Apply(&r); err != nil || r.Resize != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []Override{{Mean: "0.5"}, {Std: "0,1,1"}, {Std: "a,b,c"}, {Crop: "2"}, {Crop: "x"}, {Mean: "inf,0,0"}} {
		if err := bad.Apply(&r); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func FuzzTransformers(f *testing.F) {
	f.Add([]byte(`{"size":{"shortest_edge":224},"crop_size":224,"do_center_crop":true}`))
	f.Add([]byte(`{"image_processor":{"size":[1,2]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _, _ = Transformers("clip", text, text)
		_, _ = OpenCLIP(text, 224)
	})
}
