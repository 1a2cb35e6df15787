package oip

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"melo.example/melo/imaging"
)

// Decoder decodes images for all requests, within the memory for requests. Each client gets a share of the
// memory and of the processors, so that no client's images keep others waiting for long.
type Decoder struct {
	limits Limits
	memory *Memory
	slots  *Memory // images being decoded
}

// NewDecoder returns a decoder within limits that takes its memory from the budget.
func NewDecoder(limits Limits, memory *Memory) *Decoder {
	cores := int64(runtime.GOMAXPROCS(0))
	return &Decoder{limits: limits.WithDefaults(), memory: memory, slots: NewMemory(2 * cores)}
}

// waited returns how long the first in the queue has waited for a processor.
func (d *Decoder) waited() time.Duration { return d.slots.Waited() }

// Encoded is an encoded image.
type Encoded struct {
	Name string // for messages, such as "image 2"
	Data []byte
	Page int // of a file of several, or frame, from 0
}

// Decoded is an image, or an error.
type Decoded struct {
	Image *imaging.Image
	Err   error
}

// Decode decodes images, as many at once as a request has memory for, and calls use with each part: list holds
// the images from first on, and is valid until use returns. Each image has its own result; the returned error
// is that of the whole request, or of use.
func (d *Decoder) Decode(ctx context.Context, images []Encoded, use func(first int, list []Decoded) error) error {
	return d.decodeBeside(ctx, images, 0, use)
}

// decodeBeside is Decode for a use that takes so many bytes beside the images of a part: both are asked for at once, so that
// nobody who has the one waits for the other.
func (d *Decoder) decodeBeside(ctx context.Context, images []Encoded, beside int64, use func(first int, list []Decoded) error) error {
	for first := 0; first < len(images); {
		list, bytes, err := d.part(ctx, images[first:], beside)
		if err != nil {
			return err
		}
		release, err := d.memory.Take(ctx, bytes)
		if err != nil {
			return err
		}
		err = d.decodePart(ctx, images[first:first+len(list)], list)
		if err == nil {
			err = use(first, list)
		}
		clear(list)
		release()
		if err != nil {
			return err
		}
		first += len(list)
	}
	return nil
}

// part looks at the images that are decoded next: what is wrong with them, and what the others take, with what is beside them.
func (d *Decoder) part(ctx context.Context, images []Encoded, beside int64) (list []Decoded, bytes int64, err error) {
	bytes = beside
	for _, img := range images {
		info, err := d.inspect(ctx, img)
		switch {
		case ctx.Err() != nil:
			return nil, 0, ctx.Err()
		case err != nil:
			list = append(list, Decoded{Err: imageFault(err)})
			continue
		}
		if len(list) > 0 && bytes+info.Bytes > d.memory.Most() {
			break
		}
		list, bytes = append(list, Decoded{}), bytes+info.Bytes
	}
	return list, bytes, nil
}

// inspect inspects an image within the limits of processors and memory.
func (d *Decoder) inspect(ctx context.Context, img Encoded) (info imaging.Info, err error) {
	bytes := int64(0)
	if err := d.turn(ctx, func() { bytes = imaging.InspectBytes(img.Data, d.options(img)) }); err != nil {
		return info, err
	}
	if bytes > 0 { // do not occupy a processor while waiting for memory
		release, err := d.memory.Take(ctx, min(bytes, d.memory.Most()))
		if err != nil {
			return info, err
		}
		defer release()
	}
	if turnErr := d.turn(ctx, func() { info, err = imaging.Inspect(img.Data, img.Name, d.options(img)) }); turnErr != nil {
		return info, turnErr
	}
	return info, err
}

// turn runs f when a processor is available for the client.
func (d *Decoder) turn(ctx context.Context, f func()) error {
	release, err := d.slots.Take(ctx, 1)
	if err != nil {
		return err
	}
	defer release()
	f()
	return nil
}

// options are those of one image: it can have the memory of a request.
func (d *Decoder) options(img Encoded) imaging.Options {
	limits := d.limits.Images()
	limits.MaxBytes = d.memory.Most()
	return imaging.Options{Limits: limits, Page: img.Page}
}

// decodePart decodes the images without an error so far.
func (d *Decoder) decodePart(ctx context.Context, images []Encoded, list []Decoded) error {
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
	_ = group.Wait() // cannot fail: each image has its own error
	return ctx.Err()
}

func (d *Decoder) decode(ctx context.Context, img Encoded) Decoded {
	var decoded *imaging.Image
	var err error
	if turnErr := d.turn(ctx, func() { decoded, err = imaging.DecodeContext(ctx, img.Data, img.Name, d.options(img)) }); turnErr != nil {
		return Decoded{Err: turnErr}
	}
	if err != nil {
		return Decoded{Err: imageFault(err)}
	}
	return Decoded{Image: decoded}
}

// imageFault classifies the error of an image, which is never the server's fault.
func imageFault(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	fault := FaultOf(err)
	if fault.Kind != TooLarge {
		fault = NewFault(Invalid, err.Error())
	}
	fault.Message = Clean(fault.Message)
	return fault
}

func rowName(i int) string { return fmt.Sprintf("image %d", i) }

// firstError returns the first error of images that must all succeed.
func firstError(list []Decoded) error {
	if i := slices.IndexFunc(list, func(d Decoded) bool { return d.Err != nil }); i >= 0 {
		return list[i].Err
	}
	return nil
}

// tensors takes the memory of so many prepared inputs, and of what is beside them.
func (s *Service) tensors(ctx context.Context, n int, beside int64) (release func(), err error) {
	side := int64(s.engine.MaxSide())
	return s.memory.Take(ctx, 4*int64(n)*3*side*side+beside)
}
