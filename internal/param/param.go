// Package param names a trained tensor for those who make it (vit, lora) and those who update it
// (train), so that they need not know each other.
package param

// Param is one trained tensor. Data and Grad stay the same slices for the life of a run.
type Param struct {
	Name  string
	Shape []int
	Data  []float32
	Grad  []float32
	// Decay says whether weight decay applies: matrices decay, biases and norms do not.
	Decay bool
	// LRScale multiplies the learning rate (LoRA+ trains B faster than A); 1 for most.
	LRScale float32
}
