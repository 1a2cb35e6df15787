package adapterfile

import (
	"melo.example/melo/conformal"
	"melo.example/melo/imaging"
	"melo.example/melo/lora"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// The name and version of the native format, as recorded in each file.
const (
	FormatName    = "melo-adapter"
	FormatVersion = 1
)

// Task selects how logits become probabilities and decisions.
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

// The rules for the factor of B A.
const (
	ScaleAlphaOverRank     = "alpha/r"
	ScaleAlphaOverSqrtRank = "alpha/sqrt(r)" // rsLoRA, arXiv 2312.03732
)

// Metadata is the JSON document of a native file. Zero fields are left out.
type Metadata struct {
	Format  string      `json:"format"`  // FormatName; set by Write
	Version int         `json:"version"` // FormatVersion; set by Write
	Base    Base        `json:"base"`
	Method  lora.Method `json:"method"`

	Task   Task    `json:"task,omitempty"` // empty without a head
	Labels []Label `json:"labels,omitempty"`
	// Thresholds are the probabilities from which a label counts as present: none, or one per label.
	Thresholds []float64 `json:"thresholds,omitempty"`
	// Temperatures divide the logits: none, one for all, or one per label.
	Temperatures []float64 `json:"temperatures,omitempty"`
	// Recipe is the preprocessing of images. Zero if unknown, as after an import; then the base's recipe is
	// used.
	Recipe imaging.Recipe `json:"recipe,omitzero"`
	// Pool is the pooling if it differs from that of the base: "class", "mean" or "class+mean".
	Pool string `json:"pool,omitempty"`
	// Mirror averages the logits of the image and of its mirror image, flipped left to right. Temperatures and
	// thresholds were fitted to these averages. It costs a second pass.
	Mirror bool `json:"mirror,omitempty"`
	// Conformal is the calibration of prediction sets, from validation images; nil if there is none.
	Conformal *conformal.Calibration `json:"conformal,omitempty"`
	// Fit describes how the adapter recognises images unlike its training images; nil if it cannot.
	Fit *Fit `json:"fit,omitempty"`

	ScaleRule string `json:"scale_rule,omitempty"` // set by Write from the adapter
	// Sites lists the adapted linear maps, each in exactly one group. Write sets it from the adapter.
	Sites []SiteGroup `json:"sites,omitempty"`

	Training    *Training `json:"training,omitempty"`
	Metrics     []Metric  `json:"metrics,omitempty"`
	SelfTest    *SelfTest `json:"selftest,omitempty"`
	Licence     string    `json:"licence,omitempty"` // an SPDX expression where possible
	IntendedUse string    `json:"intended_use,omitempty"`
}

// Base identifies the backbone that an adapter belongs to. Zero numbers mean unknown, because files of other
// software do not record them.
type Base struct {
	ID        string `json:"id,omitempty"`        // name, such as "google/vit-base-patch16-224"
	PathHint  string `json:"path_hint,omitempty"` // path during training; informational only
	Digest    string `json:"digest,omitempty"`    // of the weights; see BaseDigest
	Family    string `json:"family,omitempty"`    // vit.Config.Family
	Source    string `json:"source,omitempty"`    // naming of its tensors: "hf" or "timm"
	Width     int    `json:"width"`               // d
	Depth     int    `json:"depth,omitempty"`     // blocks
	MLP       int    `json:"mlp,omitempty"`       // hidden width of the MLP (of one branch for SwiGLU)
	SwiGLU    bool   `json:"swiglu,omitempty"`
	Patch     int    `json:"patch,omitempty"` // side in pixels
	Image     int    `json:"image,omitempty"` // side in pixels
	Registers int    `json:"registers,omitempty"`
	Features  int    `json:"features,omitempty"` // input width of the head
}

// NewBase describes a base of shape c. id, path and digest may be empty.
func NewBase(c *vit.Config, id, path, digest string) Base {
	return Base{
		ID: id, PathHint: path, Digest: digest, Family: c.Family, Source: c.Source,
		Width: c.Width, Depth: c.Depth, MLP: c.MLP, SwiGLU: c.SwiGLU, Patch: c.Patch, Image: c.Image,
		Registers: c.Registers, Features: c.Features(),
	}
}

// dims returns the shape of the linear map at a site, 0 where unknown.
func (b *Base) dims(s vit.Site) (in, out int) {
	c := vit.Config{Width: b.Width, MLP: b.MLP, SwiGLU: b.SwiGLU}
	return c.SiteDims(s)
}

// sites returns the blocks of a group; arch.PoolBlock for attention pooling.
func (g *SiteGroup) sites() []int {
	if g.Pool {
		return []int{arch.PoolBlock}
	}
	return g.Blocks
}

// SiteGroup is one kind of map that is adapted with the same rank and scale in several blocks. The tensors of
// group number I (from 0) are "sites.I.KIND.A" [n, r, in] and "sites.I.KIND.B" [n, out, r], stacked in the
// order of Blocks.
type SiteGroup struct {
	Kind   string  `json:"kind"`           // vit.Kind: q, k, v, proj, fc1 or fc2
	Blocks []int   `json:"blocks"`         // ascending, from 0; empty with Pool
	Pool   bool    `json:"pool,omitempty"` // the map of attention pooling (SigLIP) instead of blocks
	Rank   int     `json:"rank"`
	Alpha  float32 `json:"alpha"`
}

// Label names one output.
type Label struct {
	Name string `json:"name"`
	Code *Code  `json:"code,omitempty"`
}

// Code is an entry of a terminology, such as SNOMED CT or RadLex, for a label.
type Code struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

// Labels returns labels without codes.
func Labels(names ...string) []Label {
	labels := make([]Label, len(names))
	for i, n := range names {
		labels[i].Name = n
	}
	return labels
}

// Training records where an adapter comes from.
type Training struct {
	Program string     `json:"program,omitempty"` // name and version
	Time    string     `json:"time,omitempty"`    // end of training, RFC 3339
	Seed    uint64     `json:"seed"`
	Data    *DataInfo  `json:"data,omitempty"`
	Split   *SplitInfo `json:"split,omitempty"`
	// Hyperparameters have the trainer's names. Numbers are read back as json.Number.
	Hyperparameters map[string]any `json:"hyperparameters,omitempty"`
	// Source is the format that an imported adapter was read from: "loravit" or "peft".
	Source string `json:"source,omitempty"`
}

// DataInfo identifies the training data.
type DataInfo struct {
	Name   string `json:"name,omitempty"`
	Digest string `json:"digest,omitempty"`
	Images int    `json:"images,omitempty"`
}

// SplitInfo describes how the images were split.
type SplitInfo struct {
	Rule  string `json:"rule,omitempty"` // such as "given", "random" or "by group"
	Seed  uint64 `json:"seed"`
	Train int    `json:"train"` // images
	Val   int    `json:"val"`
	Test  int    `json:"test"`
}

// Metric is one measured value.
type Metric struct {
	Name     string    `json:"name"`               // such as "auc"
	Split    string    `json:"split"`              // "val" or "test"
	Label    string    `json:"label,omitempty"`    // empty: over all labels
	Value    float64   `json:"value"`              // must be finite
	Interval []float64 `json:"interval,omitempty"` // [low, high]
	Level    float64   `json:"level,omitempty"`    // confidence level of the interval, such as 0.95
	N        int       `json:"n,omitempty"`        // images
}

// SelfTest lets a reader check that it computes what the writer computed. It records the logits of generated
// inputs (SelfTestInput).
type SelfTest struct {
	Seed   uint64      `json:"seed"`
	Logits [][]float32 `json:"logits"` // one row per input
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
		dst[i] = float32(z>>40)/(1<<23) - 1 // 24 bits, so exact
	}
}

// golden64 is the increment of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
const golden64 = 0x9e3779b97f4a7c15
