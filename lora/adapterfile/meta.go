package adapterfile

import (
	"melo.example/melo/conformal"
	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// The name and version of the native format, as its description states them.
const (
	FormatName    = "melo-adapter"
	FormatVersion = 1
)

// Task says how logits become probabilities and decisions.
type Task string

// The kinds of task.
const (
	// Binary has two labels (softmax over two logits) or one (sigmoid of one logit).
	Binary Task = "binary"
	// Multiclass is one of several labels: softmax.
	Multiclass Task = "multiclass"
	// Multilabel is any subset of the labels: a sigmoid each.
	Multilabel Task = "multilabel"
)

// The scale rules: what A and B are multiplied by.
const (
	ScaleAlphaOverRank     = "alpha/r"
	ScaleAlphaOverSqrtRank = "alpha/sqrt(r)" // rsLoRA, arXiv 2312.03732
)

// Metadata is the JSON document of a native file. Fields that are zero are left out.
type Metadata struct {
	Format  string      `json:"format"`  // FormatName; Write sets it
	Version int         `json:"version"` // FormatVersion; Write sets it
	Base    Base        `json:"base"`
	Method  lora.Method `json:"method"`

	Task   Task    `json:"task,omitempty"` // empty if there is no head
	Labels []Label `json:"labels,omitempty"`
	// Thresholds are the probabilities from which a label counts as present: none, or one a label.
	Thresholds []float64 `json:"thresholds,omitempty"`
	// Temperatures divide the logits: none, one for all, or one a label.
	Temperatures []float64 `json:"temperatures,omitempty"`
	// Recipe is how an image becomes the input. Zero if unknown, as after an import: then the base's holds.
	Recipe imaging.Recipe `json:"recipe,omitzero"`
	// Pool is how tokens become features where the adapter does it in another way than its base: "class", "mean" or
	// "class+mean".
	Pool string `json:"pool,omitempty"`
	// Mirror says that the answer is the mean of the logits of the image and of its mirror image, left and right
	// exchanged. Temperatures and thresholds were fitted to that. It costs a second pass.
	Mirror bool `json:"mirror,omitempty"`
	// Conformal has what prediction sets are made by, from validation; nil if there was none.
	Conformal *conformal.Calibration `json:"conformal,omitempty"`
	// Fit says what the adapter knows of its training images; nil if nothing.
	Fit *Fit `json:"fit,omitempty"`

	ScaleRule string `json:"scale_rule,omitempty"` // Write sets it from the adapter
	// Sites are the adapted maps; a map stands in one group. Write sets them from the adapter.
	Sites []SiteGroup `json:"sites,omitempty"`

	Training    *Training `json:"training,omitempty"`
	Metrics     []Metric  `json:"metrics,omitempty"`
	SelfTest    *SelfTest `json:"selftest,omitempty"`
	Licence     string    `json:"licence,omitempty"` // an SPDX expression where there is one
	IntendedUse string    `json:"intended_use,omitempty"`
}

// Base identifies the backbone that an adapter belongs to. Zero numbers are unknown: files of other
// software do not tell.
type Base struct {
	ID        string `json:"id,omitempty"`        // name, such as "google/vit-base-patch16-224"
	PathHint  string `json:"path_hint,omitempty"` // where it lay; nothing depends on it
	Digest    string `json:"digest,omitempty"`    // of the weights, see BaseDigest
	Family    string `json:"family,omitempty"`    // vit.Config.Family
	Source    string `json:"source,omitempty"`    // naming of its tensors, "hf" or "timm"
	Width     int    `json:"width"`               // d
	Depth     int    `json:"depth,omitempty"`     // blocks
	MLP       int    `json:"mlp,omitempty"`       // hidden width of the MLP (of one branch for SwiGLU)
	SwiGLU    bool   `json:"swiglu,omitempty"`
	Patch     int    `json:"patch,omitempty"` // side in pixels
	Image     int    `json:"image,omitempty"` // side in pixels
	Registers int    `json:"registers,omitempty"`
	Features  int    `json:"features,omitempty"` // width of what the head sees
}

// NewBase describes a base of shape c. id, path and digest may be empty.
func NewBase(c *vit.Config, id, path, digest string) Base {
	return Base{
		ID: id, PathHint: path, Digest: digest, Family: c.Family, Source: c.Source,
		Width: c.Width, Depth: c.Depth, MLP: c.MLP, SwiGLU: c.SwiGLU, Patch: c.Patch, Image: c.Image,
		Registers: c.Registers, Features: c.Features(),
	}
}

// dims returns the shape of the map at a site, 0 where it is unknown.
func (b *Base) dims(s vit.Site) (in, out int) {
	c := vit.Config{Width: b.Width, MLP: b.MLP, SwiGLU: b.SwiGLU}
	return c.SiteDims(s)
}

// sites returns the blocks that a group stands for, arch.PoolBlock for attention pooling.
func (g *SiteGroup) sites() []int {
	if g.Pool {
		return []int{arch.PoolBlock}
	}
	return g.Blocks
}

// SiteGroup is one kind of map, adapted alike in several blocks. The tensors of group number I (from 0) are
// "sites.I.KIND.A" [n, r, in] and "sites.I.KIND.B" [n, out, r], stacked in the order of Blocks.
type SiteGroup struct {
	Kind   string  `json:"kind"`           // vit.Kind: q, k, v, proj, fc1 or fc2
	Blocks []int   `json:"blocks"`         // ascending, counted from 0; none with Pool
	Pool   bool    `json:"pool,omitempty"` // the map of attention pooling, after the blocks (SigLIP)
	Rank   int     `json:"rank"`
	Alpha  float32 `json:"alpha"`
}

// Label names one output.
type Label struct {
	Name string `json:"name"`
	Code *Code  `json:"code,omitempty"`
}

// Code is the entry of a terminology, such as SNOMED CT or RadLex, that a label stands for.
type Code struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

// Labels makes labels without codes.
func Labels(names ...string) []Label {
	labels := make([]Label, len(names))
	for i, n := range names {
		labels[i].Name = n
	}
	return labels
}

// Training is where an adapter comes from.
type Training struct {
	Program string     `json:"program,omitempty"` // name and version
	Time    string     `json:"time,omitempty"`    // of the end, RFC 3339
	Seed    uint64     `json:"seed"`
	Data    *DataInfo  `json:"data,omitempty"`
	Split   *SplitInfo `json:"split,omitempty"`
	// Hyperparameters are named as the trainer names them. Numbers are read back as json.Number.
	Hyperparameters map[string]any `json:"hyperparameters,omitempty"`
	// Source names what an imported adapter was read from: "loravit", "peft".
	Source string `json:"source,omitempty"`
}

// DataInfo identifies the images.
type DataInfo struct {
	Name   string `json:"name,omitempty"`
	Digest string `json:"digest,omitempty"`
	Images int    `json:"images,omitempty"`
}

// SplitInfo is how the images were divided.
type SplitInfo struct {
	Rule  string `json:"rule,omitempty"` // such as "given", "random", "by group"
	Seed  uint64 `json:"seed"`
	Train int    `json:"train"` // images
	Val   int    `json:"val"`
	Test  int    `json:"test"`
}

// Metric is one measured number.
type Metric struct {
	Name     string    `json:"name"`               // such as "auc"
	Split    string    `json:"split"`              // "val" or "test"
	Label    string    `json:"label,omitempty"`    // empty: over all labels
	Value    float64   `json:"value"`              // must be finite
	Interval []float64 `json:"interval,omitempty"` // [low, high]
	Level    float64   `json:"level,omitempty"`    // of the interval, such as 0.95
	N        int       `json:"n,omitempty"`        // images
}

// SelfTest lets a reader check that it computes what the writer computed: the logits of inputs that a
// formula gives (SelfTestInput).
type SelfTest struct {
	Seed   uint64      `json:"seed"`
	Logits [][]float32 `json:"logits"` // one row an input
}

// SelfTestInput sets dst to input number index of a SelfTest, a normalised tensor [3, side, side]:
// value i is (z >> 40) / 2^23 - 1 in [-1, 1), where z is output number index*len(dst) + i, counted from 0,
// of splitmix64 started at seed.
func SelfTestInput(dst []float32, seed uint64, index int) {
	state := seed + uint64(index)*uint64(len(dst))*golden64
	for i := range dst {
		state += golden64
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		dst[i] = float32(z>>40)/(1<<23) - 1 // 24 bits: exact
	}
}

// golden64 is the increment of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
const golden64 = 0x9e3779b97f4a7c15
