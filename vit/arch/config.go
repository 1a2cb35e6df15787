// Package arch describes Vision Transformer encoders by data: which parts a network has, their sizes, and the
// names and shapes of their parameters. It holds no weights and computes nothing. vit/checkpoint reads files
// against this description, and the engines (vit, vit/plain) follow it.
package arch

import "fmt"

// Activation is the non-linearity of the MLP.
type Activation uint8

// The activations that Vision Transformers use.
const (
	Identity  Activation = iota
	GELUErf              // x * Phi(x), the exact GELU (Hendrycks & Gimpel, arXiv 1606.08415)
	GELUTanh             // its tanh approximation
	GELUQuick            // x * sigmoid(1.702 x), of OpenAI's CLIP
)

// Pooling says how the token sequence becomes one feature vector.
type Pooling uint8

// The poolings that the supported families use.
const (
	// PoolClass takes the class token after the final norm.
	PoolClass Pooling = iota
	// PoolMean averages the patch tokens, leaving out class, distillation and register tokens.
	PoolMean
	// PoolClassDist concatenates the class token and the distillation token of a distilled DeiT [2d]. Each has
	// its own head; the logits are averaged.
	PoolClassDist
	// PoolClassMean concatenates the class token and the mean of the patch tokens [2d], as
	// Hugging Face's Dinov2ForImageClassification does.
	PoolClassMean
	// PoolTokens concatenates all tokens [T*d], for objectives that need every token. No checkpoint uses it.
	PoolTokens
	// PoolAttention computes attention of a learned query to all tokens, followed by an MLP (SigLIP).
	PoolAttention
	poolings
)

var poolingNames = [poolings]string{"class", "mean", "class+distilled", "class+mean", "tokens", "attention"}

// String returns "class", "mean", "class+mean", "attention", ...
func (p Pooling) String() string { return poolingNames[p] }

// ParsePooling is the inverse of Pooling.String.
func ParsePooling(s string) (Pooling, error) {
	for i, n := range poolingNames {
		if n == s {
			return Pooling(i), nil
		}
	}
	return 0, fmt.Errorf("vit: unknown pooling %q, expected class, mean or class+mean", s)
}

// Rotary selects a two-dimensional rotary position embedding (RoFormer, arXiv 2104.09864). It rotates queries
// and keys of patches; half of the angles come from the row, half from the column, as coordinate times
// frequency. Tokens before the patches are not rotated.
type Rotary uint8

// The rotations that the supported families use.
const (
	// RotaryNone rotates nothing.
	RotaryNone Rotary = iota
	// RotaryCentred uses the coordinates of patch centres in [-1, 1], times 2 pi (DINOv3).
	RotaryCentred
	// RotaryIndex uses row and column indices, scaled to a grid of side RotaryGrid unless that is 0 (EVA-02).
	RotaryIndex
)

// Config describes a pre-norm ViT encoder. It holds everything that the forward pass needs besides weights,
// whatever library wrote the file. One block computes
//
//	o   = softmax(rot(q) rot(k)ᵀ / sqrt(d/Heads) + bias) v          q, k, v = linear maps of norm1(x)
//	x  += ls1 * proj(norm_attn(o))
//	x  += ls2 * fc2(norm_mlp(act(fc1(norm2(x)))))
//
// The fields say which of rot, bias, ls1, ls2, norm_attn and norm_mlp the network has.
type Config struct {
	Family   string // "vit", "deit", "mae", "dinov2", "clip", ...: used only in messages and to map names
	Source   string // naming scheme of the file: "hf" or "timm"
	Width    int    // d, embedding dimension
	Depth    int    // number of blocks
	Heads    int    // attention heads; Width is a multiple
	MLP      int    // hidden width of the MLP (of one branch for SwiGLU)
	Image    int    // side of the square input in pixels
	Patch    int    // side of a patch in pixels
	Channels int    // input channels, 3

	// The tokens before the patch tokens, and positions.
	Class     bool // has a class token
	Dist      bool // has DeiT's distillation token (after the class token)
	Registers int  // register tokens, after the class token; they carry no position embedding
	// PosPrefix reports whether the position embedding has rows for the class and distillation tokens.
	PosPrefix   bool
	NoPosEmbed  bool    // no position embedding: positions are rotary or relative
	Rotary      Rotary  // rotary position embedding of queries and keys
	RotaryHalf  bool    // value i of a head is paired with value i + dim/2, instead of 2i with 2i+1
	RotaryTheta float32 // base of the geometric sequence of frequencies
	RotaryGrid  int     // for RotaryIndex: side of the grid to which coordinates are scaled; 0: no scaling
	// each block has a relative position bias for each head and each offset between two patches (BEiT)
	RelBlocks bool
	RelShared bool // all blocks share one such bias

	// The norms outside the blocks, and the optional parts of a block.
	PreNorm    bool // LayerNorm before the first block (CLIP); the patch embedding then has no bias
	FinalNorm  bool // LayerNorm after the last block over all tokens
	PoolNorm   bool // LayerNorm after pooling instead of FinalNorm (timm fc_norm; CLIP post_layernorm)
	QKVBias    bool
	NoKeyBias  bool // with QKVBias: only k has no bias (BEiT, EVA-02, DINOv3)
	AttnNorm   bool // LayerNorm of the attention output, before proj (EVA-02)
	SwiGLU     bool // the MLP is down(silu(gate(x)) * up(x))
	MLPNorm    bool // LayerNorm of the MLP's activations, before its second linear map (EVA-02)
	LayerScale bool // a learned gain per column of the outputs of attention and MLP
	Act        Activation
	Eps        float32 // LayerNorm epsilon

	Pooling Pooling
	Classes int // number of classes of the base's own head, 0 if it has none
	// Projected is the width of CLIP's bias-free visual_projection, 0 if there is none. It maps features to the
	// space shared with text. Adapters and heads read the features before it.
	Projected int
}

// Grid returns the number of patches along one side.
func (c *Config) Grid() int { return c.Image / c.Patch }

// Prefix returns the number of tokens before the patch tokens.
func (c *Config) Prefix() int {
	n := c.Registers
	if c.Class {
		n++
	}
	if c.Dist {
		n++
	}
	return n
}

// PositionPrefix returns the number of rows of the position embedding before those of the patches.
func (c *Config) PositionPrefix() int {
	if !c.PosPrefix || c.NoPosEmbed {
		return 0
	}
	return c.Prefix() - c.Registers
}

// Tokens returns the sequence length T.
func (c *Config) Tokens() int { return c.Prefix() + c.Grid()*c.Grid() }

// HeadDim returns the width of one attention head.
func (c *Config) HeadDim() int { return c.Width / c.Heads }

// PatchBias reports whether the patch embedding has a bias.
func (c *Config) PatchBias() bool { return !c.PreNorm }

// Features returns the width of the pooled features, which is the input width of a head.
func (c *Config) Features() int {
	if c.Pooling == PoolClassDist || c.Pooling == PoolClassMean {
		return 2 * c.Width
	}
	if c.Pooling == PoolTokens {
		return c.Tokens() * c.Width
	}
	return c.Width
}

// Upper bounds, so that a hostile configuration cannot request absurd amounts of memory. The largest published
// plain ViT (22B, arXiv 2302.05442) has width 6144, depth 48.
const (
	MaxWidth  = 1 << 14
	MaxDepth  = 256
	MaxTokens = 1 << 16

	// relative position bias has an entry per pair of tokens; this allows 768-pixel images in patches of 16
	maxRelTokens = 2305
)

// Validate returns an error that names the first invalid field, or nil.
func (c *Config) Validate() error {
	bad := func(format string, a ...any) error { return fmt.Errorf("vit: config: "+format, a...) }
	switch {
	case c.Width <= 0 || c.Width > MaxWidth:
		return bad("width %d, expected 1 to %d", c.Width, MaxWidth)
	case c.Depth <= 0 || c.Depth > MaxDepth:
		return bad("depth %d, expected 1 to %d", c.Depth, MaxDepth)
	case c.Heads <= 0 || c.Width%c.Heads != 0:
		return bad("%d heads do not divide width %d", c.Heads, c.Width)
	case c.MLP <= 0 || c.MLP > 16*MaxWidth:
		return bad("MLP width %d", c.MLP)
	case c.Patch <= 0 || c.Image < c.Patch || c.Image%c.Patch != 0:
		return bad("image side %d is not a multiple of patch side %d", c.Image, c.Patch)
	case c.Channels != 3:
		return bad("%d channels, expected 3", c.Channels)
	case c.Registers < 0 || c.Registers > MaxTokens || c.Grid() > 1<<8:
		return bad("%d registers, %d patches a side", c.Registers, c.Grid())
	case c.Classes < 0 || c.Classes > 1<<20 || c.Projected < 0 || c.Projected > MaxWidth:
		return bad("%d classes, projection %d", c.Classes, c.Projected)
	case !c.Class && c.Pooling != PoolMean && c.Pooling != PoolAttention:
		return bad("class-token pooling without a class token")
	case c.Pooling >= poolings:
		return bad("pooling %d", c.Pooling)
	case c.PoolNorm && c.Features() != c.Width:
		return bad("pooling %v with a norm after pooling, which is for %d features", c.Pooling, c.Width)
	case c.Rotary != RotaryNone && c.HeadDim()%4 != 0:
		return bad("heads of width %d with rotary positions, expected a multiple of 4", c.HeadDim())
	case c.Rotary != RotaryNone && !(c.RotaryTheta >= 1 && c.RotaryTheta <= 1e9):
		return bad("rotary period %g", c.RotaryTheta)
	case (c.RelBlocks || c.RelShared) && (c.Prefix() != 1 || !c.Class):
		return bad("relative positions with other tokens than one class token before the patches")
	case (c.RelBlocks || c.RelShared) && c.Tokens() > maxRelTokens:
		return bad("relative positions of %d tokens, expected at most %d", c.Tokens(), maxRelTokens)
	case !(c.Eps > 0 && c.Eps < 1):
		return bad("LayerNorm epsilon %g", c.Eps)
	}
	return nil
}
