package compute

import "melo.example/melo/vit/arch"

// Profiled is an engine or a trainer that reports its operations.
type Profiled interface {
	// SetMark sets a function that is called after each operation of a pass with its block (or Outside) and
	// part. The time since the previous call is the duration of the operation. nil: no reports.
	SetMark(mark func(block int, p Part))
}

// Outside is the block number of operations that belong to no block.
const Outside = -1

// Part is an operation of a pass, for profiles; see Profiled.
type Part uint8

// The parts. A product includes its epilogue: bias, activation, LayerScale, residual.
const (
	PartEmbed     Part = iota // patches, tokens, position embedding, the norm before the blocks
	PartNorm                  // LayerNorm before attention and before the MLP
	PartQKV                   // products with the maps of q, k and v
	PartAttention             // scores, softmax, weighted sum
	PartProj                  // product with the map after attention
	PartFC1                   // product with the first map of the MLP, activation
	PartFC2                   // product with the second map of the MLP
	PartAdapters              // low-rank deltas and their gradients
	PartPool                  // final norm, pooling
	Parts                     // number of parts
)

// String returns the name of the part.
func (p Part) String() string {
	return [Parts]string{"embed", "norm", "qkv", "attention", "proj", "fc1", "fc2", "adapters", "pool"}[p]
}

// PartOf returns the part to which a map of kind k belongs.
func PartOf(k arch.Kind) Part {
	switch k {
	case arch.Proj:
		return PartProj
	case arch.FC1:
		return PartFC1
	case arch.FC2:
		return PartFC2
	}
	return PartQKV
}
