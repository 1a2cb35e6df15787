package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"

	"melo.example/melo/imaging"
	"melo.example/melo/imaging/processor"
)

// ErrNoRecipe reports that neither the files of a base nor its name give the preprocessing of images.
var ErrNoRecipe = errors.New("nothing says how an image becomes its input (mean, standard deviation, size, crop, interpolation)")

// imagingSource is an image recipe and its origin.
type imagingSource struct {
	recipe imaging.Recipe
	given  bool                  // by a file; its Size may be 0, which means the model's
	loose  bool                  // the file does not give the Size
	timm   *processor.TimmConfig // what the recipe was derived from, where it does not give the Size
	note   string                // why it was chosen, where no file gives it
	none   bool                  // nothing determines the recipe
}

var (
	meanImageNet, stdImageNet = [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225}
	meanCLIP, stdCLIP         = [3]float32{0.48145466, 0.4578275, 0.40821073}, [3]float32{0.26862954, 0.26130258, 0.27577711}
	half                      = [3]float32{0.5, 0.5, 0.5}
)

// familyRecipe returns the preprocessing of a family's published checkpoints, with the arithmetic of
// transformers.
func familyRecipe(family string) imaging.Recipe {
	r := imaging.Recipe{Size: 224, Interpolation: imaging.Bilinear, Resampling: imaging.ResampleTorchvision, Mean: half, Std: half}
	switch family {
	case "deit":
		r.Resize, r.Fit, r.Cut, r.Interpolation, r.Mean, r.Std = 256, imaging.FitSquash, imaging.CutFloor, imaging.Bicubic, meanImageNet, stdImageNet
	case "dinov2":
		r.Resize, r.Cut, r.Interpolation, r.Mean, r.Std = 256, imaging.CutFloor, imaging.Bicubic, meanImageNet, stdImageNet
	case "mae":
		r.Mean, r.Std = meanImageNet, stdImageNet
	case "clip":
		r.Resize, r.Cut, r.Interpolation, r.Mean, r.Std = 224, imaging.CutFloor, imaging.Bicubic, meanCLIP, stdCLIP
	}
	return r
}

// hfRecipe reads the preprocessor files. Without them it returns the family's usual recipe, with image_mean and
// image_std of config.json if they are there.
func hfRecipe(modelType, family string, f Files) (imagingSource, error) {
	r, given, err := processor.Transformers(modelType, f.Preprocessor, f.Processor)
	if err != nil || given {
		return imagingSource{recipe: r, given: given}, err
	}
	var own struct {
		Mean []float32 `json:"image_mean"`
		Std  []float32 `json:"image_std"`
	}
	if f.Config != nil {
		if err := json.Unmarshal(f.Config, &own); err != nil {
			return imagingSource{}, fmt.Errorf("%s: %w", configName, err)
		}
	}
	src := imagingSource{recipe: familyRecipe(family), note: fmt.Sprintf("there is no %s: images are prepared as for the published %s models",
		processor.PreprocessorName, family)}
	copy(src.recipe.Mean[:], own.Mean)
	copy(src.recipe.Std[:], own.Std)
	return src, nil
}

// timmRecipe reads pretrained_cfg. Without it the recipe is timm's default for the architecture of that name.
func timmRecipe(name string, cfg *processor.TimmConfig) (imagingSource, error) {
	if cfg.Given() {
		r, err := cfg.Recipe()
		return imagingSource{recipe: r, given: true, loose: len(cfg.InputSize) == 0, timm: cfg}, err
	}
	defaults, ok := processor.TimmDefault(name)
	if !ok {
		return imagingSource{none: true}, nil
	}
	r, err := defaults.Recipe()
	return imagingSource{recipe: r, timm: defaults, note: fmt.Sprintf("there is no pretrained_cfg: images are prepared as timm does for %.80s", name)}, err
}
