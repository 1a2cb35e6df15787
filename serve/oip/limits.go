package oip

import "melo.example/melo/imaging"

// Limits limits a request. A zero field means its default.
type Limits struct {
	// Body is the maximum size of a request in bytes, on either endpoint; default 64 MiB.
	Body int64
	// Memory limits the bytes of all running requests: bodies, tensors, images and decoding; default 1 GiB. It
	// is at least eight times Body.
	Memory int64
	// Rows is the maximum number of images per request; default 64.
	Rows int
	// Answers is the maximum number of answers per request, images times adapters; default 4096.
	Answers int
	// Pixels is the maximum size of an image, width times height; default 50 million.
	Pixels int64
	// Adapter is the maximum size of an uploaded adapter file; default 32 MiB, and never more than Body.
	Adapter int64
}

// memoryPerBody is the number of largest bodies that fit in memory: bodies get three eighths of it, and count
// twice while they arrive.
const memoryPerBody = 8

// WithDefaults returns l with defaults for zero fields.
func (l Limits) WithDefaults() Limits {
	fill := func(v *int64, to int64) {
		if *v <= 0 {
			*v = to
		}
	}
	fill(&l.Body, 64<<20)
	fill(&l.Memory, 1<<30)
	fill(&l.Pixels, 50_000_000)
	fill(&l.Adapter, 32<<20)
	if l.Rows <= 0 {
		l.Rows = 64
	}
	if l.Answers <= 0 {
		l.Answers = 4096
	}
	l.Memory = max(l.Memory, memoryPerBody*l.Body)
	return l
}

// Images returns the limits of one encoded image.
func (l Limits) Images() imaging.Limits {
	return imaging.Limits{MaxPixels: l.Pixels, MaxFileBytes: l.Body}
}
