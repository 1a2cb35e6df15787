package compute

import "melo.example/melo/vit/arch"

// Observer is shown the inputs and outputs of the linear maps of a bare base.
type Observer interface {
	// Wants reports whether the observer wants to see a site.
	Wants(site arch.Site) bool
	// See is called with one row of a map's input and output, in row order. It must neither modify nor retain
	// them.
	See(site arch.Site, x, y []float32)
}

// Observed is an engine that can show the inputs and outputs of its linear maps.
type Observed interface {
	// Observe computes Features of the bare base and calls the observer on the way.
	Observe(images []float32, n int, o Observer) []float32
}
