package oip

import "melo.example/melo/imaging"

// Limits bounds a request. A zero field means its default.
type Limits struct {
	// Body is the size of a request in bytes, on either endpoint; default 64 MiB.
	Body int64
	// Memory bounds the bytes of all requests under way: bodies, tensors, images and what decoding them takes; default
	// 1 GiB. It is at least eight times Body.
	Memory int64
	// Rows is the number of images of one request; default 64.
	Rows int
	// Answers is the number of answers of one request, images times adapters; default 4096.
	Answers int
	// Pixels is the size of one image, width times height; default 50 million.
	Pixels int64
	// Adapter is the size of an adapter file that a client publishes; default 32 MiB, and never more than Body.
	Adapter int64
}

// memoryPerBody is how many bodies as large as can be the memory has to hold: bodies get three eighths of it, and count
// twice while they arrive.
const memoryPerBody = 8

// WithDefaults returns l with its zero fields filled in.
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
