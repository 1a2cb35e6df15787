package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"melo.example/melo/imaging"
)

// ScanOptions configures Scan. The zero value uses the defaults.
type ScanOptions struct {
	// MaxBad is the number of unreadable images that may be left out (see [Dataset.Bad]) before Scan fails;
	// negative: any number.
	MaxBad int
	// Looks also computes the summaries that [Dataset.NearCopies] and [Dataset.Shortcuts] need.
	Looks bool
	// Limits limits decoding; zero fields mean imaging's defaults.
	Limits imaging.Limits
	// Progress is called, from any goroutine, with the number of images done. It may be nil.
	Progress func(done, total int)
}

// ImageInfo is the result of Scan for an image. If Err is not nil, all other fields are zero.
type ImageInfo struct {
	W, H     int    // in pixels, after orientation
	Channels int    // 1 or 3, without alpha
	Bits     int    // per sample: 8 or 16
	Max      uint16 // largest sample
	Format   string // file format, such as "PNG"
	Bytes    int64  // size of the stored image in bytes
	Constant bool   // all pixels are equal
	Err      error  // why the image cannot be read
}

// Scan decodes every image once. It finds unreadable images, which [Dataset.Split] and [Dataset.Folds] then
// leave out, and copies by their pixels rather than their files. It also computes the hashes for
// [Dataset.Digest]. It returns an error that names files if more images are unreadable than allowed.
func (d *Dataset) Scan(ctx context.Context, opt ScanOptions) error {
	if d.infos == nil {
		if err := d.scan(ctx, opt); err != nil {
			return err
		}
		d.warnScanned()
	}
	bad := d.Bad()
	if opt.MaxBad < 0 || len(bad) <= opt.MaxBad {
		return nil
	}
	names := make([]string, len(bad))
	for k, b := range bad {
		names[k] = b.Err.Error()
	}
	return badf("%s: %d of %d images cannot be read, %d are allowed: %s", d.Root, len(bad), len(d.Samples), opt.MaxBad, listed(names))
}

// Info returns the result of Scan for sample i.
func (d *Dataset) Info(i int) ImageInfo {
	if d.infos == nil {
		return ImageInfo{}
	}
	return d.infos[i]
}

// Bad lists the images that Scan could not read, in order.
func (d *Dataset) Bad() []BadFile {
	var out []BadFile
	for i := range d.infos {
		if err := d.infos[i].Err; err != nil {
			out = append(out, BadFile{Index: i, Path: d.File(i), Err: err})
		}
	}
	return out
}

// usable reports whether sample i is readable, as far as is known.
func (d *Dataset) usable(i int) bool { return d.infos == nil || d.infos[i].Err == nil }

func (d *Dataset) scan(ctx context.Context, opt ScanOptions) error {
	n := len(d.Samples)
	hashes, pixels, infos, looks := make([][32]byte, n), make([][32]byte, n), make([]ImageInfo, n), make([]*look, n)
	var next, done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(max(runtime.GOMAXPROCS(0), 1), n) {
		g.Go(func() error {
			s := scanner{d: d, limits: opt.Limits, looks: opt.Looks}
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				hashes[i], pixels[i], infos[i], looks[i] = s.look(ctx, i)
				if err := ctx.Err(); err != nil {
					return err // decoding was cancelled, which says nothing about the image
				}
				if err := d.gone(infos[i].Err); err != nil {
					return err
				}
				if k := int(done.Add(1)); opt.Progress != nil {
					opt.Progress(k, n)
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	d.hashes, d.pixels, d.infos, d.looks = hashes, pixels, infos, looks
	return nil
}

// gone returns an error if err is a missing file because the whole data set has disappeared, for example
// because a network folder was unmounted. In that case no unreadable images may be skipped.
func (d *Dataset) gone(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, statErr := os.Stat(d.Root); statErr == nil {
		return nil
	}
	return badf("%s: the data has disappeared: %v", d.Root, err)
}

// scanner examines images one at a time.
type scanner struct {
	d      *Dataset
	limits imaging.Limits
	looks  bool
	buf    []byte
}

// look returns the hash of an image's file, the hash of its pixels, its properties, and its summary. For an
// unreadable image the hash of the file replaces that of the pixels.
func (s *scanner) look(ctx context.Context, i int) (file, pixels [32]byte, info ImageInfo, seen *look) {
	data, err := s.d.source.Read(i, s.limits)
	if err != nil {
		// Without content, the name distinguishes the image from others.
		return file, sha256.Sum256([]byte(s.d.File(i))), ImageInfo{Err: err}, nil
	}
	file = s.d.sum(i, data)
	m, err := s.d.decode(ctx, i, data, imaging.Options{Limits: s.limits})
	if err != nil {
		return file, file, ImageInfo{Err: err}, nil
	}
	constant := false
	pixels, constant = s.pixels(m)
	if s.looks {
		seen = lookAt(m)
	}
	return file, pixels, ImageInfo{W: m.W, H: m.H, Channels: m.C, Bits: m.Bits, Max: m.Max(), Format: m.Source.Format, Bytes: int64(len(data)), Constant: constant}, seen
}

// pixels hashes what a model would see: a colour image without colour equals the grey one.
func (s *scanner) pixels(m *imaging.Image) (sum [32]byte, constant bool) {
	if m.Bits == 16 {
		constant = alike(m.Pix16, m.C)
		s.buf = s.buf[:0]
		c, step := m.C, 1
		if m.C == 3 && isGrey(m.Pix16) {
			c, step = 1, 3
		}
		for k := 0; k < len(m.Pix16); k += step {
			s.buf = binary.BigEndian.AppendUint16(s.buf, m.Pix16[k])
		}
		return hashPixels(m, c, s.buf), constant
	}
	constant = alike(m.Pix8, m.C)
	if m.C == 1 || !isGrey(m.Pix8) {
		return hashPixels(m, m.C, m.Pix8), constant
	}
	s.buf = s.buf[:0]
	for k := 0; k < len(m.Pix8); k += 3 {
		s.buf = append(s.buf, m.Pix8[k])
	}
	return hashPixels(m, 1, s.buf), constant
}

func hashPixels(m *imaging.Image, channels int, samples []byte) (sum [32]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %d %d\n", m.W, m.H, channels, m.Bits)
	h.Write(samples)
	h.Sum(sum[:0])
	return sum
}

// isGrey reports whether the three channels are equal everywhere.
func isGrey[T uint8 | uint16](pix []T) bool {
	for i := 0; i+2 < len(pix); i += 3 {
		if pix[i] != pix[i+1] || pix[i] != pix[i+2] {
			return false
		}
	}
	return true
}

// collapse converts a colour image without colour to grey, in place. The tensor is the same bit for bit, at a
// third of the work and memory. Many X-rays are stored in colour.
func collapse(m *imaging.Image) {
	if m.C != 3 {
		return
	}
	switch {
	case m.Bits == 8 && isGrey(m.Pix8):
		m.Pix8 = everyThird(m.Pix8)
	case m.Bits == 16 && isGrey(m.Pix16):
		m.Pix16 = everyThird(m.Pix16)
	default:
		return
	}
	m.C = 1
}

func everyThird[T uint8 | uint16](pix []T) []T {
	n := len(pix) / 3
	for i := range n {
		pix[i] = pix[3*i]
	}
	return pix[:n]
}

// alike reports whether all pixels are equal.
func alike[T uint8 | uint16](pix []T, c int) bool {
	for i := c; i < len(pix); i++ {
		if pix[i] != pix[i-c] {
			return false
		}
	}
	return true
}

// tiny is the side in pixels below which an image can hardly show anything.
const tiny = 8

// warnScanned adds warnings about odd images.
func (d *Dataset) warnScanned() {
	var constant, small []string
	for i, x := range d.infos {
		switch {
		case x.Err != nil:
		case min(x.W, x.H) < tiny:
			small = append(small, fmt.Sprintf("%s (%d x %d)", d.Samples[i].Path, x.W, x.H))
		case x.Constant:
			constant = append(constant, d.Samples[i].Path)
		}
	}
	if len(small) > 0 {
		d.warnf("%d images have a side of fewer than %d pixels: %s", len(small), tiny, listed(small))
	}
	if len(constant) > 0 {
		d.warnf("%d images have the same colour everywhere: %s", len(constant), listed(constant))
	}
}

// bigImage and pixelsInFlight limit the memory for decoding, whatever the number of workers: images with at
// least bigImage pixels are decoded only while the sum of their pixels is within pixelsInFlight, or one at a
// time.
const (
	bigImage       = 1 << 22
	pixelsInFlight = 100_000_000
)

// Image decodes sample i. It ignores the page in the options.
func (d *Dataset) Image(ctx context.Context, i int, opt imaging.Options) (*imaging.Image, error) {
	data, err := d.source.Read(i, opt.Limits)
	if err != nil {
		return nil, err
	}
	return d.decode(ctx, i, data, opt)
}
