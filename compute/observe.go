package compute

import "melo.example/melo/vit/arch"

// Observer is shown what goes through the maps of a bare base.
type Observer interface {
	// Wants reports whether the observer is shown a site.
	Wants(site arch.Site) bool
	// See is shown one row of a map's input and output, which it must neither change nor keep. Rows come one after
	// another, in order.
	See(site arch.Site, x, y []float32)
}

// Observed is an engine that can show its maps.
type Observed interface {
	// Observe is Features of the bare base, and shows the observer what goes through.
	Observe(images []float32, n int, o Observer) []float32
}
