package processor

import (
	"fmt"
	"math"

	"melo.example/melo/imaging"
)

// Describe returns the content of preprocessor_config.json for a recipe. [Transformers] reads it back as the
// same recipe.
func Describe(r imaging.Recipe) (map[string]any, error) {
	square := func(n int) map[string]any { return map[string]any{"height": n, "width": n} }
	doc := map[string]any{
		"image_processor_type": "ViTImageProcessor", "do_resize": r.Fit != imaging.FitNone, "size": square(r.Size),
		"do_rescale": true, "rescale_factor": 1.0 / 255, "do_normalize": true, "image_mean": r.Mean, "image_std": r.Std,
		"resample": PillowFilter(r.Interpolation),
	}
	cuts := r.Cut != imaging.CutNone
	switch {
	case r.HorizontalFirst:
		return nil, fmt.Errorf("recipe: Pillow's order of passes of old cannot be said to transformers")
	case r.Resampling == imaging.ResampleFloat && (r.Fit != "" || r.Resize != 0):
		return nil, fmt.Errorf("recipe: resampling %s with a crop cannot be said to transformers", r.Resampling)
	case r.Resampling == imaging.ResampleFloat:
		doc["image_processor_type"] = "DINOv3ViTImageProcessor"
	case r.Fit == imaging.FitNone:
		doc["do_center_crop"], doc["crop_size"] = cuts, square(r.Size)
	case r.Fit == imaging.FitSquash:
		doc["image_processor_type"], doc["size"] = "DeiTImageProcessor", square(r.Resize)
		doc["do_center_crop"], doc["crop_size"] = true, square(r.Size)
	case r.Resize > 0: // the processor of ViT ignores the aspect ratio; this one keeps it and crops
		size := map[string]any{"shortest_edge": r.Resize}
		if r.Longest > 0 {
			size["longest_edge"] = r.Longest
		}
		doc["image_processor_type"], doc["size"] = "BitImageProcessor", size
		doc["do_center_crop"], doc["crop_size"] = cuts, square(r.Size)
	}
	if r.Resampling == "" {
		doc["resampling"] = "pillow"
	}
	if r.Cut == "" && (r.Fit != "" || r.Resize > 0) {
		doc["cut"] = "torchvision"
	}
	return doc, nil
}

// DescribeTimm returns the image part of pretrained_cfg for a recipe. note describes what timm would do
// differently; "" if nothing.
func DescribeTimm(r imaging.Recipe) (cfg map[string]any, note string, err error) {
	cfg = map[string]any{
		"input_size": []int{3, r.Size, r.Size}, "interpolation": r.Interpolation, "mean": r.Mean, "std": r.Std,
		"crop_pct": 1.0, "crop_mode": "squash",
	}
	switch {
	case r.Fit == imaging.FitNone || r.Longest > 0 || r.Cut == imaging.CutNone && r.Resize > 0 || r.Resampling == imaging.ResampleFloat || r.HorizontalFirst:
		return nil, "", fmt.Errorf("recipe: %+v cannot be said to timm", r)
	case r.Resize > 0:
		share, err := cropShare(r)
		if err != nil {
			return nil, "", err
		}
		if cfg["crop_pct"] = share; r.Fit == "" {
			cfg["crop_mode"] = "center"
		}
	}
	if r.Resampling != "" || r.Cut == imaging.CutFloor {
		note = "timm resizes with Pillow and rounds the place of the crop to even: its inputs differ a little from those of the source"
	}
	return cfg, note, nil
}

// cropShare returns timm's crop_pct for a recipe: floor(size / crop_pct) is the side before the crop.
func cropShare(r imaging.Recipe) (float64, error) {
	share := float64(r.Size) / float64(r.Resize)
	for _, p := range []float64{share, math.Nextafter(share, 0)} {
		if p <= 1 && int(float64(r.Size)/p) == r.Resize {
			return p, nil
		}
	}
	return 0, fmt.Errorf("recipe: side %d from %d cannot be said as timm's crop_pct", r.Size, r.Resize)
}
