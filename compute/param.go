package compute

// Param is one trainable tensor, with a name that engines, adapters, heads and optimizers agree on. Data and
// Grad stay the same slices for the whole run.
type Param struct {
	Name  string
	Shape []int
	Data  []float32
	Grad  []float32
	// Decay reports whether weight decay applies. It applies to matrices, not to biases and norms.
	Decay bool
	// LRScale multiplies the learning rate; usually 1. LoRA+ uses a larger one for B.
	LRScale float32
}
