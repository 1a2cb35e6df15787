// Package processor reads the preprocessing descriptions of the libraries that publish vision transformers, as
// an [imaging.Recipe]: the image processors of transformers, timm's pretrained_cfg, open_clip's preprocess_cfg.
// Every setting in a description becomes part of the recipe, or is known to have no effect on pixels, or is an
// error that names it.
package processor

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"melo.example/melo/imaging"
)

// Names of the files in which transformers describes a processor. If both contain one, the second takes
// precedence.
const (
	PreprocessorName = "preprocessor_config.json"
	ProcessorName    = "processor_config.json"
)

var (
	meanImageNet, stdImageNet = [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225}
	meanCLIP, stdCLIP         = [3]float32{0.48145466, 0.4578275, 0.40821073}, [3]float32{0.26862954, 0.26130258, 0.27577711}
	half                      = [3]float32{0.5, 0.5, 0.5}
)

// class holds the defaults of one of transformers' processors.
type class struct {
	size, crop    int
	keepsAspect   bool // size is the shorter side
	plainAspect   bool // a plain number as size is the shorter side
	crops         bool
	interpolation string
	mean, std     [3]float32
	resampling    string
	cropShare     bool // the crop is a fraction of the resized image (ConvNext)
}

// classes maps the supported processors, by name without "Processor" or "FeatureExtractor", to their defaults.
var classes = map[string]class{
	"ViTImage":       {size: 224, interpolation: imaging.Bilinear, mean: half, std: half},
	"DeiTImage":      {size: 256, crop: 224, crops: true, interpolation: imaging.Bicubic, mean: half, std: half},
	"BeitImage":      {size: 224, crop: 224, interpolation: imaging.Bicubic, mean: half, std: half},
	"BitImage":       {size: 224, keepsAspect: true, plainAspect: true, crop: 224, crops: true, interpolation: imaging.Bicubic, mean: meanCLIP, std: stdCLIP},
	"CLIPImage":      {size: 224, keepsAspect: true, plainAspect: true, crop: 224, crops: true, interpolation: imaging.Bicubic, mean: meanCLIP, std: stdCLIP},
	"SiglipImage":    {size: 224, plainAspect: true, interpolation: imaging.Bicubic, mean: half, std: half},
	"DINOv3ViTImage": {size: 224, interpolation: imaging.Bilinear, mean: meanImageNet, std: stdImageNet, resampling: imaging.ResampleFloat},
	"ConvNextImage":  {size: 384, keepsAspect: true, plainAspect: true, cropShare: true, interpolation: imaging.Bicubic, mean: half, std: half},
}

// usual maps a model type to the processor that transformers uses if the file names none.
var usual = map[string]string{
	"vit": "ViTImage", "vit_mae": "ViTImage", "vit_msn": "ViTImage", "ijepa": "ViTImage", "deit": "DeiTImage",
	"dinov2": "BitImage", "dinov2_with_registers": "BitImage", "clip": "CLIPImage", "clip_vision_model": "CLIPImage",
	"siglip": "SiglipImage", "siglip_vision_model": "SiglipImage", "dinov3_vit": "DINOv3ViTImage", "beit": "BeitImage",
	"data2vec-vision": "BeitImage",
}

// transformers is the file of a processor. Any key that is neither here nor in inert is an error.
type transformers struct {
	Type        string          `json:"image_processor_type"`
	OldType     string          `json:"feature_extractor_type"`
	DoResize    *bool           `json:"do_resize"`
	Size        json.RawMessage `json:"size"`
	MaxSize     *int            `json:"max_size"`
	Square      *bool           `json:"default_to_square"`
	Resample    *int            `json:"resample"`
	DoCrop      *bool           `json:"do_center_crop"`
	Crop        json.RawMessage `json:"crop_size"`
	CropShare   *float64        `json:"crop_pct"`
	DoRescale   *bool           `json:"do_rescale"`
	Rescale     *float64        `json:"rescale_factor"`
	DoNormalize *bool           `json:"do_normalize"`
	Mean        []float64       `json:"image_mean"`
	Std         []float64       `json:"image_std"`
	// Resampling is our own key in files that melo writes: "pillow" if Pillow resizes images. In transformers
	// it is chosen when a processor is loaded; the default is torchvision.
	Resampling *string `json:"resampling"`
	// Cut is our own key, too: "torchvision" if the position of the crop is rounded to even.
	Cut *string `json:"cut"`
}

// known lists the keys above. Keys in inert do not affect the pixels of an RGB image.
var (
	known = strings.Fields("image_processor_type feature_extractor_type do_resize size max_size default_to_square resample " +
		"do_center_crop crop_size crop_pct do_rescale rescale_factor do_normalize image_mean image_std resampling cut")
	inert = strings.Fields("processor_class _processor_class _valid_processor_keys do_convert_rgb data_format input_data_format " +
		"device disable_grouping return_tensors do_reduce_labels reduce_labels image_seq_length use_fast pad_size backend " +
		"num_channels _commit_hash transformers_version _name_or_path name_or_path")
)

// pillowFilters maps Pillow's Image.Resampling to the interpolations of a recipe.
var pillowFilters = map[int]string{
	1: imaging.Lanczos, 2: imaging.Bilinear, 3: imaging.Bicubic, 4: imaging.Box, 5: imaging.Hamming,
}

// PillowFilter returns the number in Pillow's Image.Resampling for an interpolation, or 0 if there is none.
func PillowFilter(interpolation string) int {
	for number, name := range pillowFilters {
		if name == interpolation {
			return number
		}
	}
	return 0
}

// Transformers reads preprocessor_config.json and processor_config.json of transformers, either of which may be
// nil, for a model of the given model_type. given is false if neither contains a description. A recipe with
// Size 0 takes images of the model's input size.
func Transformers(modelType string, preprocessor, processor []byte) (r imaging.Recipe, given bool, err error) {
	if processor != nil {
		var outer struct {
			Image json.RawMessage `json:"image_processor"`
		}
		if err := json.Unmarshal(processor, &outer); err != nil {
			return r, false, fmt.Errorf("%s: JSON: %w", ProcessorName, err)
		}
		if outer.Image != nil && string(outer.Image) != "null" {
			if r, err = parse(modelType, outer.Image); err != nil {
				err = fmt.Errorf("%s: image_processor: %w", ProcessorName, err)
			}
			return r, true, err
		}
	}
	if preprocessor == nil {
		return r, false, nil
	}
	if r, err = parse(modelType, preprocessor); err != nil {
		err = fmt.Errorf("%s: %w", PreprocessorName, err)
	}
	return r, true, err
}

func parse(modelType string, text []byte) (r imaging.Recipe, err error) {
	var fields map[string]json.RawMessage
	var t transformers
	if err := json.Unmarshal(text, &fields); err != nil {
		return r, fmt.Errorf("JSON: %w", err)
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value := string(fields[key])
		if value == "null" {
			delete(fields, key)
		} else if value != "false" && !slices.Contains(known, key) && !slices.Contains(inert, key) {
			return r, fmt.Errorf("%.60q: %.60s is not supported", key, value)
		}
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return r, fmt.Errorf("JSON: %w", err)
	}
	c, err := t.class(modelType)
	if err != nil {
		return r, err
	}
	return t.recipe(c)
}

// class determines the processor's class.
func (t *transformers) class(modelType string) (class, error) {
	name := t.Type
	if name == "" {
		name = t.OldType
	}
	short := strings.TrimSuffix(strings.TrimSuffix(name, "Fast"), "Pil")
	switch rest, old := strings.CutSuffix(short, "FeatureExtractor"); {
	case name == "":
		short = usual[modelType]
	case old:
		short = rest + "Image"
	default:
		short = strings.TrimSuffix(short, "Processor")
	}
	c, ok := classes[short]
	if !ok {
		return c, fmt.Errorf("image_processor_type %.60q is not supported, expected %s, each Processor or FeatureExtractor",
			name, strings.Join(slices.Sorted(maps.Keys(classes)), ", "))
	}
	if t.Resampling != nil && (*t.Resampling != "pillow" || c.resampling != "") {
		return c, fmt.Errorf("resampling %.40q is not supported", *t.Resampling)
	}
	if t.Resampling == nil && c.resampling == "" {
		c.resampling = imaging.ResampleTorchvision
	}
	return c, nil
}

func (t *transformers) recipe(c class) (imaging.Recipe, error) {
	r := imaging.Recipe{Interpolation: c.interpolation, Resampling: c.resampling, Mean: c.mean, Std: c.std, Cut: imaging.CutFloor}
	if t.Resample != nil {
		name, ok := pillowFilters[*t.Resample]
		if !ok {
			return r, fmt.Errorf("resample %d is not supported", *t.Resample)
		}
		r.Interpolation = name
	}
	if r.Resampling == imaging.ResampleTorchvision && (r.Interpolation == imaging.Box || r.Interpolation == imaging.Hamming) {
		return r, fmt.Errorf("resample %d: torchvision has no %s for tensors", *t.Resample, r.Interpolation)
	}
	if r.Resampling == imaging.ResampleFloat && (r.Interpolation == imaging.Bicubic || r.Interpolation == imaging.Lanczos) {
		return r, fmt.Errorf("resample %d: %s of numbers that are not cut to the range of a pixel is not supported", *t.Resample, r.Interpolation)
	}
	if err := t.values(&r); err != nil {
		return r, err
	}
	return r, t.geometry(&r, c)
}

// values reads rescaling and normalisation. The scale becomes part of mean and standard deviation.
func (t *transformers) values(r *imaging.Recipe) error {
	on := func(b *bool) bool { return b == nil || *b }
	if err := setChannels(&r.Mean, "image_mean", t.Mean); err != nil {
		return err
	}
	if err := setChannels(&r.Std, "image_std", t.Std); err != nil {
		return err
	}
	if !on(t.DoNormalize) {
		r.Mean, r.Std = [3]float32{}, [3]float32{1, 1, 1}
	}
	scale := 1.0 / 255
	if t.Rescale != nil {
		scale = *t.Rescale
	}
	if !on(t.DoRescale) {
		scale = 1
	}
	if !(scale > 0) || math.IsInf(scale, 0) {
		return fmt.Errorf("rescale_factor %g, expected a positive number", scale)
	}
	if by := scale * 255; math.Abs(by-1) > 1e-6 {
		for i := range 3 {
			r.Mean[i], r.Std[i] = float32(float64(r.Mean[i])/by), float32(float64(r.Std[i])/by)
		}
	}
	return nil
}

// geometry reads resizing and cropping.
func (t *transformers) geometry(r *imaging.Recipe, c class) error {
	size := edges{Height: c.size, Width: c.size}
	if c.keepsAspect {
		size = edges{Shortest: c.size}
	}
	aspect := c.plainAspect
	if t.Square != nil {
		aspect = !*t.Square
	}
	if given(t.Size) {
		var err error
		if size, err = parseEdges(t.Size, aspect); err != nil {
			return fmt.Errorf("size: %w", err)
		}
	}
	if t.MaxSize != nil {
		size.Longest = *t.MaxSize
	}
	crops, crop := c.crops, c.crop
	if t.DoCrop != nil {
		crops = *t.DoCrop
	}
	if given(t.Crop) {
		e, err := parseEdges(t.Crop, false)
		if err == nil && (e.Height < 1 || e.Height != e.Width) {
			err = fmt.Errorf("%.80s, expected a square", t.Crop)
		}
		if err != nil && crops {
			return fmt.Errorf("crop_size: %w", err)
		}
		crop = e.Height
	}
	if c.cropShare {
		return t.convNext(r, size)
	}
	if t.CropShare != nil {
		return fmt.Errorf("crop_pct %g is not supported for this processor", *t.CropShare)
	}
	if crops && crop == 0 {
		return fmt.Errorf("do_center_crop without crop_size")
	}
	switch resizes := t.DoResize == nil || *t.DoResize; {
	case !resizes:
		r.Fit, r.Size = imaging.FitNone, 0
	case size.Shortest > 0:
		r.Resize, r.Size, r.Longest = size.Shortest, size.Shortest, size.Longest
	case size.Height > 0 && size.Height == size.Width:
		r.Size = size.Height
		if crops && crop != r.Size {
			r.Fit, r.Resize = imaging.FitSquash, r.Size
		}
	default:
		return fmt.Errorf("size: %v: expected a square, or shortest_edge", size)
	}
	if crops {
		r.Size = crop
	} else if r.Resize > 0 || r.Fit == imaging.FitNone {
		r.Cut = imaging.CutNone
	}
	if t.Cut != nil {
		if *t.Cut != "torchvision" || r.Cut != imaging.CutFloor {
			return fmt.Errorf("cut %.40q is not supported", *t.Cut)
		}
		r.Cut = ""
	}
	if r.Cut == imaging.CutFloor && r.Fit == "" && r.Resize == 0 {
		r.Cut = "" // nothing is cropped
	}
	return nil
}

// convNext handles the processor with a fractional margin, which applies below 384 pixels.
func (t *transformers) convNext(r *imaging.Recipe, size edges) error {
	share := 224.0 / 256
	if t.CropShare != nil {
		share = *t.CropShare
	}
	if size.Shortest < 1 || size.Longest != 0 || !(share > 0.01 && share <= 1) {
		return fmt.Errorf("size: %v with crop_pct %g: expected shortest_edge and a share", size, share)
	}
	if t.DoCrop != nil && *t.DoCrop || t.DoResize != nil && !*t.DoResize {
		return fmt.Errorf("do_center_crop and do_resize are not supported for this processor")
	}
	if r.Size = size.Shortest; r.Size < 384 {
		r.Resize = int(float64(r.Size) / share)
	} else {
		r.Cut = ""
	}
	return nil
}

func given(text json.RawMessage) bool { return text != nil && string(text) != "null" }

// edges is a size in the notation of transformers.
type edges struct {
	Height   int `json:"height,omitempty"`
	Width    int `json:"width,omitempty"`
	Shortest int `json:"shortest_edge,omitempty"`
	Longest  int `json:"longest_edge,omitempty"`
}

func (e edges) String() string {
	text, _ := json.Marshal(e) // cannot fail: only numbers
	return string(text)
}

// parseEdges parses n, [h, w], or an object. A plain number is the shorter side if the aspect ratio is kept.
func parseEdges(text json.RawMessage, aspect bool) (e edges, err error) {
	var n int
	if json.Unmarshal(text, &n) == nil {
		if aspect {
			return edges{Shortest: n}, nil
		}
		return edges{Height: n, Width: n}, nil
	}
	var pair []int
	if json.Unmarshal(text, &pair) == nil {
		if len(pair) != 2 {
			return e, fmt.Errorf("%.80s, expected two numbers", text)
		}
		return edges{Height: pair[0], Width: pair[1]}, nil
	}
	var all map[string]*int
	if err := json.Unmarshal(text, &all); err != nil {
		return e, fmt.Errorf("%.80s, expected a number, or height and width, or shortest_edge", text)
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		dst := map[string]*int{"height": &e.Height, "width": &e.Width, "shortest_edge": &e.Shortest, "longest_edge": &e.Longest}[key]
		switch {
		case all[key] == nil:
		case dst == nil:
			return e, fmt.Errorf("%.40q is not supported, expected height and width, or shortest_edge", key)
		default:
			*dst = *all[key]
		}
	}
	if e.Shortest == 0 && e.Longest != 0 {
		return e, fmt.Errorf("%.80s: longest_edge without shortest_edge is not supported", text)
	}
	return e, nil
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
