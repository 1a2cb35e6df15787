package checkpoint

import (
	"errors"
	"fmt"

	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
)

// infer describes a file without a configuration from the names and shapes of its tensors. What these do not
// determine is taken from the published models: heads of 64 columns, exact GELU, and the family's epsilon and
// image recipe. CLIP towers are refused, because published ones differ in their activation.
func infer(f *safetensors.File, o Options) (fileSpec, *weights, error) {
	var best *weights
	for _, names := range []*naming{&timmNames, &hfNames, &clipNames} {
		w, err := newWeights(f, names)
		if err != nil {
			return nil, nil, err
		}
		if w.has("patch_embed.weight") && w.depth() > 0 && (best == nil || len(w.unknown) < len(best.unknown)) {
			best = w
		}
	}
	switch {
	case best == nil:
		return nil, nil, fmt.Errorf("no ViT's tensors found, and no %s beside the file; %s", configName, supported)
	case best.hasModule("norm_pre"):
		return nil, nil, fmt.Errorf("a CLIP tower's activation cannot be told from its tensors: expected %s beside %s", configName, weightsName)
	case best.naming == &timmNames:
		c := &timmConfig{arch: timmArch{act: arch.GELUErf}, recipe: imagingSource{none: true}}
		c.inferImage(best)
		return c, best, nil
	}
	c, err := inferHF(best, o)
	return c, best, err
}

// inferImage derives the side of the input from the position embedding.
func (c *timmConfig) inferImage(w *weights) {
	s := &spec{fusedQKV: true}
	s.fromShapes(w)
	c.positions(s, w)
	rows := w.dim("pos_embed", -2)
	if s.PosPrefix {
		rows -= s.Prefix()
	}
	c.Args.ImgSize = side(gridOf(rows) * s.Patch)
	if s.Classes > 0 {
		c.NumClasses = &s.Classes
	}
}

func inferHF(w *weights, o Options) (*hfConfig, error) {
	modelType := "vit"
	switch {
	case w.has("reg_token"):
		modelType = "dinov2_with_registers"
	case w.inBlocks("ls1") || w.inBlocks("ls2"):
		modelType = "dinov2"
	case w.has("dist_token"):
		modelType = "deit"
	}
	c, err := hfDefaults(modelType)
	if err != nil {
		return nil, err
	}
	s := &spec{}
	s.fromShapes(w)
	if c.Heads = o.Heads; c.Heads == 0 {
		if c.Heads, err = publishedHeads(s.Width); err != nil {
			return nil, err
		}
	}
	c.Hidden, c.Layers, c.Intermediate, c.Patch = s.Width, s.Depth, s.MLP, side(s.Patch)
	c.Registers, c.QKVBias, c.SwiGLU, c.inferred = s.Registers, w.inBlocksHas("q.bias"), s.SwiGLU, true
	rows := w.dim("pos_embed", -2) - 1
	if modelType == "deit" {
		rows--
	}
	g := gridOf(rows)
	if g == 0 {
		return nil, errors.New("the position embedding is not that of a square grid of patches")
	}
	c.Image = side(g * s.Patch)
	c.recipe = imagingSource{none: true}
	return &c, nil
}
