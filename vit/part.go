package vit

// Part is an operation of a pass, for profiles: see Engine.Mark.
type Part uint8

// The parts. A product's includes what its epilogue does: bias, activation, LayerScale, residual.
const (
	PartEmbed     Part = iota // patches, tokens, position embedding, the norm before the blocks
	PartNorm                  // LayerNorm before attention and before the MLP
	PartQKV                   // products with the maps of q, k and v
	PartAttention             // scores, softmax, weighted sum
	PartProj                  // product with the map after attention
	PartFC1                   // product with the first map of the MLP, activation
	PartFC2                   // product with the second map of the MLP
	PartAdapters              // low-rank deltas, and their gradients
	PartPool                  // final norm, pooling
	Parts                     // number of parts
)

// String returns the name of the part.
func (p Part) String() string {
	return [Parts]string{"embed", "norm", "qkv", "attention", "proj", "fc1", "fc2", "adapters", "pool"}[p]
}

// partOf returns the part that a map of kind k belongs to.
func partOf(k Kind) Part {
	switch k {
	case Proj:
		return PartProj
	case FC1:
		return PartFC1
	case FC2:
		return PartFC2
	}
	return PartQKV
}

// Outside is the block of parts that belong to none.
const Outside = -1

func (e *Engine) mark(block int, p Part) {
	if e.Mark != nil {
		e.Mark(block, p)
	}
}
