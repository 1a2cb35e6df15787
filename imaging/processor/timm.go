package processor

import (
	_ "embed" // the table
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"melo.example/melo/imaging"
)

// TimmConfig is the image part of timm's pretrained_cfg.
type TimmConfig struct {
	InputSize     []int     `json:"input_size"`
	Interpolation string    `json:"interpolation"`
	CropPct       *float64  `json:"crop_pct"`
	CropMode      string    `json:"crop_mode"`
	CropBorder    *float64  `json:"crop_border_pixels"`
	Mean          []float64 `json:"mean"`
	Std           []float64 `json:"std"`
}

// Given reports whether any field is set.
func (t *TimmConfig) Given() bool {
	return len(t.InputSize) > 0 || t.Interpolation != "" || t.CropPct != nil || t.CropMode != "" || len(t.Mean) > 0 || len(t.Std) > 0
}

// Recipe returns the preprocessing of timm's evaluation transform: resize the shorter side to floor(size /
// crop_pct), then crop the centre. Missing fields have timm's defaults.
func (t *TimmConfig) Recipe() (imaging.Recipe, error) {
	r := imaging.Recipe{Size: 224, Interpolation: imaging.Bicubic, Mean: meanImageNet, Std: stdImageNet}
	if len(t.InputSize) > 0 {
		if len(t.InputSize) != 3 || t.InputSize[1] != t.InputSize[2] {
			return r, fmt.Errorf("input_size %d, expected [3, n, n]", t.InputSize)
		}
		r.Size = t.InputSize[1]
	}
	if t.Interpolation != "" {
		r.Interpolation = t.Interpolation
	}
	share := 0.875
	if t.CropPct != nil && *t.CropPct != 0 {
		share = *t.CropPct
	}
	if t.CropBorder != nil && *t.CropBorder != 0 {
		return r, fmt.Errorf("crop_border_pixels %g is not supported", *t.CropBorder)
	}
	if err := setMargin(&r, share, t.CropMode); err != nil {
		return r, err
	}
	if err := setChannels(&r.Mean, "mean", t.Mean); err != nil {
		return r, err
	}
	return r, setChannels(&r.Std, "std", t.Std)
}

// setMargin sets the crop margin from timm's crop_pct and crop_mode.
func setMargin(r *imaging.Recipe, share float64, mode string) error {
	if !(share > 0.01 && share <= 1) {
		return fmt.Errorf("crop_pct %g, expected above 0.01 and at most 1", share)
	}
	r.Resize, r.Fit = int(math.Floor(float64(r.Size)/share)), ""
	switch mode {
	case "", "center":
	case "squash":
		r.Fit = imaging.FitSquash
		if r.Resize == r.Size {
			r.Resize, r.Fit = 0, ""
		}
	default:
		return fmt.Errorf("crop_mode %.40q is not supported, expected center or squash", mode)
	}
	return nil
}

// OpenCLIP reads preprocess_cfg of open_clip_config.json for a model with images of the given side.
func OpenCLIP(text []byte, side int) (imaging.Recipe, error) {
	r := imaging.Recipe{Size: side, Resize: side, Interpolation: imaging.Bicubic, Mean: meanCLIP, Std: stdCLIP}
	if text == nil {
		return r, nil
	}
	var c struct {
		Size          json.RawMessage `json:"size"`
		Mode          *string         `json:"mode"`
		Mean          []float64       `json:"mean"`
		Std           []float64       `json:"std"`
		Interpolation *string         `json:"interpolation"`
		ResizeMode    *string         `json:"resize_mode"`
		FillColor     json.RawMessage `json:"fill_color"`
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return r, fmt.Errorf("JSON: %w", err)
	}
	for key := range fields {
		switch key {
		case "size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color":
		default:
			return r, fmt.Errorf("%.60q is not supported", key)
		}
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return r, fmt.Errorf("JSON: %w", err)
	}
	if given(c.Size) { // open_clip overwrites it with the model's image_size
		e, err := parseEdges(c.Size, false)
		if err != nil || e.Height != e.Width || e.Height != side {
			return r, fmt.Errorf("size %.40s, expected %d as the model's image_size", c.Size, side)
		}
	}
	if c.Mode != nil && *c.Mode != "RGB" {
		return r, fmt.Errorf("mode %.40q, expected RGB", *c.Mode)
	}
	if c.Interpolation != nil {
		r.Interpolation = *c.Interpolation
	}
	if c.ResizeMode != nil {
		switch *c.ResizeMode {
		case "shortest":
		case "squash":
			r.Resize = 0
		default:
			return r, fmt.Errorf("resize_mode %.40q is not supported, expected shortest or squash", *c.ResizeMode)
		}
	}
	if err := setChannels(&r.Mean, "mean", c.Mean); err != nil {
		return r, err
	}
	return r, setChannels(&r.Std, "std", c.Std)
}

//go:embed timm.tsv
var timmTable string

// TimmDefault returns timm's default preprocessing for an architecture. The name may end with a tag, as in
// "vit_base_patch16_224.mae". The table is generated from timm's registry (tools/timmdefaults).
func TimmDefault(name string) (*TimmConfig, bool) {
	for line := range strings.Lines(timmTable) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if f[0] != name || len(f) != 8 {
			continue
		}
		c := &TimmConfig{Interpolation: f[2], CropMode: f[4], Mean: numbers(f[5]), Std: numbers(f[6])}
		side := int(numbers(f[1])[0])
		c.InputSize, c.CropPct = []int{3, side, side}, &numbers(f[3])[0]
		return c, true
	}
	return nil, false
}

// TimmHeads returns the number of attention heads of a timm architecture, or 0 if the name is unknown.
func TimmHeads(name string) int {
	for line := range strings.Lines(timmTable) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if f[0] == name && len(f) == 8 {
			return int(numbers(f[7])[0])
		}
	}
	return 0
}

// numbers parses a cell of the table, which a test checks completely.
func numbers(cell string) []float64 {
	var all []float64
	for part := range strings.SplitSeq(cell, ",") {
		v, err := strconv.ParseFloat(part, 64)
		if err != nil {
			panic("processor: table: " + err.Error())
		}
		all = append(all, v)
	}
	return all
}
