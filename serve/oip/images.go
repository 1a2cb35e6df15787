package oip

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"melo.example/melo/imaging"
)

// Decoder decodes images for all requests. It bounds the memory that decoded images take together: a request waits
// for its turn, and one that could never have it is refused.
type Decoder struct {
	limits Limits
	turns  *semaphore.Weighted // pixels
}

// NewDecoder returns a decoder within limits.
func NewDecoder(limits Limits) *Decoder {
	limits = limits.WithDefaults()
	return &Decoder{limits: limits, turns: semaphore.NewWeighted(limits.PixelsAtOnce)}
}

// Encoded is an image as a client sent it.
type Encoded struct {
	Name string // for messages, such as "image 2"
	Data []byte
}

// Decoded is an image, or why there is none.
type Decoded struct {
	Image *imaging.Image
	Err   error
}

// Decode decodes the images of one request. Each has a result of its own; the error is that of the whole request.
// release must be called when the images are no longer needed.
func (d *Decoder) Decode(ctx context.Context, images []Encoded) (list []Decoded, release func(), err error) {
	list = make([]Decoded, len(images))
	pixels := int64(0)
	for i, img := range images {
		w, h, _, err := imaging.Config(img.Data, img.Name, d.limits.Images())
		if err != nil {
			list[i].Err = imageFault(err)
			continue
		}
		pixels += int64(w) * int64(h)
	}
	if pixels > d.limits.PixelsAtOnce {
		return nil, nil, Faultf(TooLarge, "the images have %d pixels together, the limit of a request is %d: send them in several requests",
			pixels, d.limits.PixelsAtOnce)
	}
	if err := d.turns.Acquire(ctx, pixels); err != nil {
		return nil, nil, err
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range images {
		if list[i].Err == nil {
			group.Go(func() error {
				list[i] = d.decode(ctx, images[i])
				return nil
			})
		}
	}
	_ = group.Wait() // no error: each image has its own
	return list, sync.OnceFunc(func() { d.turns.Release(pixels) }), nil
}

func (d *Decoder) decode(ctx context.Context, img Encoded) Decoded {
	if err := ctx.Err(); err != nil {
		return Decoded{Err: err}
	}
	decoded, err := imaging.DecodeLimits(img.Data, img.Name, d.limits.Images())
	if err != nil {
		return Decoded{Err: imageFault(err)}
	}
	return Decoded{Image: decoded}
}

// imageFault says what is wrong with an image; it is never the server's fault.
func imageFault(err error) *Fault {
	fault := FaultOf(err)
	if fault.Kind != TooLarge {
		fault = NewFault(Invalid, err.Error())
	}
	fault.Message = clean(fault.Message)
	return fault
}

func rowName(i int) string { return fmt.Sprintf("image %d", i) }
