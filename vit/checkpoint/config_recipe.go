package checkpoint

import (
	"encoding/json"
	"fmt"
	"math"

	"melo.example/melo/imaging"
)

// imagingSource is an image recipe and whether a file gave it, or it is the family's usual one.
type imagingSource struct {
	recipe imaging.Recipe
	given  bool
}

var (
	meanImageNet, stdImageNet = [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225}
	meanCLIP, stdCLIP         = [3]float32{0.48145466, 0.4578275, 0.40821073}, [3]float32{0.26862954, 0.26130258, 0.27577711}
	half                      = [3]float32{0.5, 0.5, 0.5}
)

// familyRecipe is what the published checkpoints of a family use.
func familyRecipe(family string) imaging.Recipe {
	switch family {
	case "deit", "dinov2":
		return imaging.Recipe{Size: 224, Resize: 256, Interpolation: imaging.Bicubic, Mean: meanImageNet, Std: stdImageNet}
	case "mae":
		return imaging.Recipe{Size: 224, Interpolation: imaging.Bilinear, Mean: meanImageNet, Std: stdImageNet}
	case "clip":
		return imaging.Recipe{Size: 224, Resize: 224, Interpolation: imaging.Bicubic, Mean: meanCLIP, Std: stdCLIP}
	}
	return imaging.Recipe{Size: 224, Interpolation: imaging.Bilinear, Mean: half, Std: half}
}

// hfImage is preprocessor_config.json, in its older and newer forms.
type hfImage struct {
	Size        json.RawMessage `json:"size"`
	DoCrop      *bool           `json:"do_center_crop"`
	Crop        json.RawMessage `json:"crop_size"`
	Resample    *int            `json:"resample"`
	DoRescale   *bool           `json:"do_rescale"`
	Rescale     *float64        `json:"rescale_factor"`
	DoNormalize *bool           `json:"do_normalize"`
	Mean        []float64       `json:"image_mean"`
	Std         []float64       `json:"image_std"`
}

// pillowFilters are the numbers of Pillow's Image.Resampling that a recipe can name.
var pillowFilters = map[int]string{
	1: imaging.Lanczos, 2: imaging.Bilinear, 3: imaging.Bicubic, 4: imaging.Box, 5: imaging.Hamming,
}

// hfRecipe reads the processor's file, or the image_mean and image_std of config.json, over the
// family's usual recipe.
func hfRecipe(family string, config, processor []byte) (imagingSource, error) {
	src := imagingSource{recipe: familyRecipe(family), given: processor != nil}
	file, name := processor, "preprocessor_config.json"
	if file == nil {
		file, name = config, "config.json"
	}
	var img hfImage
	err := json.Unmarshal(file, &img)
	if err == nil && processor == nil { // of the names in config.json only these are about images
		img = hfImage{Mean: img.Mean, Std: img.Std}
	}
	if err == nil {
		err = img.apply(&src.recipe, family)
	}
	if err != nil {
		return src, fmt.Errorf("%s: %w", name, err)
	}
	return src, nil
}

func (h *hfImage) apply(r *imaging.Recipe, family string) error {
	on := func(b *bool) bool { return b == nil || *b }
	if !on(h.DoRescale) || h.Rescale != nil && math.Abs(*h.Rescale*255-1) > 1e-3 {
		return fmt.Errorf("rescale_factor: expected 1/255")
	}
	if h.Resample != nil {
		name, ok := pillowFilters[*h.Resample]
		if !ok {
			return fmt.Errorf("resample %d is not supported", *h.Resample)
		}
		r.Interpolation = name
	}
	if err := setChannels(&r.Mean, "image_mean", h.Mean); err != nil {
		return err
	}
	if err := setChannels(&r.Std, "image_std", h.Std); err != nil {
		return err
	}
	if !on(h.DoNormalize) {
		r.Mean, r.Std = [3]float32{}, [3]float32{1, 1, 1}
	}
	if h.Size == nil {
		return nil
	}
	size, keepsAspect, err := parseSize(h.Size, family == "clip")
	if err != nil {
		return fmt.Errorf("size: %w", err)
	}
	r.Size, r.Resize = size, 0
	if keepsAspect {
		r.Resize = size
	}
	crops := h.Crop != nil && on(h.DoCrop)
	if h.DoCrop != nil {
		crops = *h.DoCrop
	}
	if crops {
		crop := size
		if h.Crop != nil {
			if crop, _, err = parseSize(h.Crop, false); err != nil {
				return fmt.Errorf("crop_size: %w", err)
			}
		}
		if crop != size { // with a squashing resize this is exact for square images only
			r.Size, r.Resize = crop, size
		}
	}
	return nil
}

// parseSize reads n, {"height", "width"} or {"shortest_edge"}. A plain number keeps the aspect ratio only in
// CLIP's processor.
func parseSize(text json.RawMessage, plainKeepsAspect bool) (size int, keepsAspect bool, err error) {
	if json.Unmarshal(text, &size) == nil {
		return size, plainKeepsAspect, nil
	}
	var s struct {
		Height   int `json:"height"`
		Width    int `json:"width"`
		Shortest int `json:"shortest_edge"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return 0, false, jsonError(err)
	}
	switch {
	case s.Shortest > 0:
		return s.Shortest, true, nil
	case s.Height > 0 && s.Height == s.Width:
		return s.Height, false, nil
	}
	return 0, false, fmt.Errorf("%.80s, expected a number, a square, or shortest_edge", text)
}

func setChannels(dst *[3]float32, name string, values []float64) error {
	switch len(values) {
	case 0:
	case 3:
		for i, v := range values {
			dst[i] = float32(v)
		}
	default:
		return fmt.Errorf("%s has %d values, expected 3", name, len(values))
	}
	return nil
}

// timmImage is timm's pretrained_cfg.
type timmImage struct {
	InputSize     []int           `json:"input_size"`
	Interpolation string          `json:"interpolation"`
	CropPct       *float64        `json:"crop_pct"`
	CropMode      string          `json:"crop_mode"`
	Mean          []float64       `json:"mean"`
	Std           []float64       `json:"std"`
	LabelNames    []string        `json:"label_names"`
	Labels        json.RawMessage `json:"labels"`
}

// recipe gives what timm's evaluation transform does: the shorter side to floor(size / crop_pct), then the
// centre.
func (t *timmImage) recipe() (imagingSource, error) {
	r := imaging.Recipe{Size: 224, Interpolation: imaging.Bicubic, Mean: half, Std: half}
	src := imagingSource{given: len(t.InputSize) > 0}
	if src.given {
		if len(t.InputSize) != 3 || t.InputSize[1] != t.InputSize[2] {
			return src, fmt.Errorf("input_size %d, expected [3, n, n]", t.InputSize)
		}
		r.Size = t.InputSize[1]
	}
	if t.Interpolation != "" {
		r.Interpolation = t.Interpolation
	}
	crop := 0.9
	if t.CropPct != nil {
		crop = *t.CropPct
	}
	if !(crop > 0.01 && crop <= 1) {
		return src, fmt.Errorf("crop_pct %g, expected above 0.01 and at most 1", crop)
	}
	switch {
	case t.CropMode == "" || t.CropMode == "center":
		r.Resize = int(float64(r.Size) / crop)
	case t.CropMode == "squash" && crop == 1:
	default:
		return src, fmt.Errorf("crop_mode %.40q with crop_pct %g is not supported", t.CropMode, crop)
	}
	if err := setChannels(&r.Mean, "mean", t.Mean); err != nil {
		return src, err
	}
	if err := setChannels(&r.Std, "std", t.Std); err != nil {
		return src, err
	}
	src.recipe = r
	return src, nil
}
