package compute

// Param is one trained tensor, named for those who make it (engines, adapters, heads) and those who update it (package
// train). Data and Grad stay the same slices for the life of a run.
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
