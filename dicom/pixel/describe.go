package pixel

import (
	"errors"
	"fmt"
	"strings"

	"melo.example/melo/dicom"
)

// ErrNoPixels is wrapped by errors about objects without pixel data: reports, plans, waveforms.
var ErrNoPixels = errors.New("the object has no pixel data")

// ErrUnsupported is wrapped by errors about pixel data that this package does not support.
var ErrUnsupported = errors.New("not supported")

// Limits limits what is decoded. A zero field means its default.
type Limits struct {
	MaxFrameBytes int64 // bytes of one frame's samples; default 1 GiB
	MaxFrames     int   // frames per object; default 1 million
}

// DefaultLimits are the limits of [Describe].
var DefaultLimits = Limits{MaxFrameBytes: 1 << 30, MaxFrames: 1 << 20}

func (l Limits) orDefault() Limits {
	if l.MaxFrameBytes <= 0 {
		l.MaxFrameBytes = DefaultLimits.MaxFrameBytes
	}
	if l.MaxFrames <= 0 {
		l.MaxFrames = DefaultLimits.MaxFrames
	}
	return l
}

// Photometric is a photometric interpretation (PS3.3, C.7.6.3.1.2).
type Photometric string

// The supported photometric interpretations.
const (
	Monochrome1 Photometric = "MONOCHROME1" // the lowest value is white
	Monochrome2 Photometric = "MONOCHROME2" // the lowest value is black
	Palette     Photometric = "PALETTE COLOR"
	RGB         Photometric = "RGB"
	YBRFull     Photometric = "YBR_FULL"
	YBRFull422  Photometric = "YBR_FULL_422"
	YBRICT      Photometric = "YBR_ICT"
	YBRRCT      Photometric = "YBR_RCT"
)

// Description is the validated description of an object's pixels.
type Description struct {
	Rows, Columns int
	Samples       int // per pixel: 1 or 3
	Frames        int
	Allocated     int // bits allocated: 1, 8, 16, 32 or 64
	Stored        int // bits that hold the value
	High          int // position of the highest stored bit
	Signed        bool
	Planar        bool // native pixel data are stored by plane instead of by pixel
	Float         bool // IEEE 754 with 32 or 64 bits
	Photometric   Photometric
	Syntax        dicom.UID

	data      *dicom.DataSet
	element   *dicom.Element
	fragments [][][]byte // of each frame, once they have been assigned
	limits    Limits
	notes     []string
}

// Notes describes contradictions in the object and how they were resolved.
func (d *Description) Notes() []string { return d.notes }

func (d *Description) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// Describe reads the description of an object's pixels, with [DefaultLimits].
func Describe(f *dicom.File) (*Description, error) { return DescribeLimits(f, DefaultLimits) }

// DescribeLimits is Describe with the given limits. Its errors wrap [ErrNoPixels], [ErrUnsupported] or
// [dicom.ErrTooLarge], or say which element is missing or contradicts another.
func DescribeLimits(f *dicom.File, lim Limits) (*Description, error) {
	d := &Description{Syntax: f.Syntax, data: f.Data, limits: lim.orDefault()}
	d.element = f.Data.Find(dicom.PixelData)
	for _, t := range []dicom.Tag{dicom.FloatPixelData, dicom.DoubleFloatPixelData} {
		if e := f.Data.Find(t); e != nil && d.element == nil {
			d.element, d.Float = e, true
		}
	}
	if d.element == nil {
		what := f.Syntax.Name()
		if class := dicom.UID(f.Data.Text(dicom.SOPClassUID)); class.Name() != "" {
			what = class.Name()
		}
		return nil, errorf("%w (%s)", ErrNoPixels, what)
	}
	if err := d.read(); err != nil {
		return nil, err
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	return d, nil
}

// read sets the description from the data set.
func (d *Description) read() error {
	need := func(to *int, t dicom.Tag) error {
		n, err := d.data.Int(t)
		if err == nil && (n < 0 || n > 1<<16) {
			err = fmt.Errorf("%s %s: %d, expected 0 to 65,536", t, t.Name(), n)
		}
		*to = int(n)
		return err
	}
	for _, want := range []struct {
		to *int
		t  dicom.Tag
	}{
		{&d.Rows, dicom.Rows}, {&d.Columns, dicom.Columns}, {&d.Samples, dicom.SamplesPerPixel}, {&d.Allocated, dicom.BitsAllocated},
	} {
		if err := need(want.to, want.t); err != nil {
			return errorf("%w", err)
		}
	}
	d.Stored, d.High = d.Allocated, d.Allocated-1
	if !d.Float {
		if err := need(&d.Stored, dicom.BitsStored); err != nil && !errors.Is(err, dicom.ErrAbsent) {
			return errorf("%w", err)
		} else if err != nil {
			d.Stored = d.Allocated
		}
		d.High = d.Stored - 1
		if n, err := d.data.Int(dicom.HighBit); err == nil {
			d.High = int(n)
		}
		n, err := d.data.Int(dicom.PixelRepresentation)
		if err != nil && !errors.Is(err, dicom.ErrAbsent) || n < 0 || n > 1 {
			return errorf("%s PixelRepresentation: %d, expected 0 or 1", dicom.PixelRepresentation, n)
		}
		d.Signed = n == 1
	}
	d.Frames = 1
	if text := d.data.Text(dicom.NumberOfFrames); text != "" {
		n, err := d.data.Int(dicom.NumberOfFrames)
		if err != nil {
			return errorf("%w", err)
		}
		if n > int64(d.limits.MaxFrames) {
			return errorf("%d frames: %w of %d", n, dicom.ErrTooLarge, d.limits.MaxFrames)
		}
		d.Frames = int(max(n, 1))
	}
	if d.Samples > 1 {
		n, err := d.data.Int(dicom.PlanarConfiguration)
		if err != nil && !errors.Is(err, dicom.ErrAbsent) || n < 0 || n > 1 {
			return errorf("%s PlanarConfiguration: %d, expected 0 or 1", dicom.PlanarConfiguration, n)
		}
		d.Planar = n == 1
	}
	d.Photometric = Photometric(strings.ToUpper(strings.Join(strings.Fields(d.data.Text(dicom.PhotometricInterpretation)), " ")))
	return nil
}

// check returns an error for contradictions and unsupported values.
func (d *Description) check() error {
	if d.Rows == 0 || d.Columns == 0 {
		return errorf("%d rows and %d columns, expected at least 1", d.Rows, d.Columns)
	}
	switch {
	case d.Allocated == 1, d.Allocated == 8, d.Allocated == 16, d.Allocated == 32, d.Allocated == 64:
	default:
		return errorf("%d bits allocated, expected 1, 8, 16, 32 or 64: %w", d.Allocated, ErrUnsupported)
	}
	if d.Stored < 1 || d.Stored > d.Allocated {
		return errorf("%d bits stored of %d allocated", d.Stored, d.Allocated)
	}
	if d.High < d.Stored-1 || d.High >= d.Allocated {
		d.note("high bit %d does not fit %d bits stored of %d: %d taken", d.High, d.Stored, d.Allocated, d.Stored-1)
		d.High = d.Stored - 1
	}
	switch d.Photometric {
	case Monochrome1, Monochrome2, Palette:
		if d.Samples != 1 {
			return errorf("%s with %d samples a pixel, expected 1", d.Photometric, d.Samples)
		}
	case RGB, YBRFull, YBRFull422, YBRICT, YBRRCT:
		if d.Samples != 3 {
			return errorf("%s with %d samples a pixel, expected 3", d.Photometric, d.Samples)
		}
	case "":
		if d.Samples != 1 && d.Samples != 3 {
			return errorf("%d samples a pixel, expected 1 or 3: %w", d.Samples, ErrUnsupported)
		}
		d.Photometric = Monochrome2
		if d.Samples == 3 {
			d.Photometric = RGB
		}
		d.note("no photometric interpretation: %s taken", d.Photometric)
	default:
		return errorf("photometric interpretation %q: %w; read are MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB, YBR_FULL, "+
			"YBR_FULL_422, YBR_ICT and YBR_RCT", d.Photometric, ErrUnsupported)
	}
	if n := d.FrameBytes(); n > d.limits.MaxFrameBytes {
		return errorf("a frame of %d x %d pixels takes %d bytes: %w of %d", d.Columns, d.Rows, n, dicom.ErrTooLarge, d.limits.MaxFrameBytes)
	}
	return nil
}

// SampleBytes returns the bytes per decoded sample; single bits take one byte.
func (d *Description) SampleBytes() int { return max(d.Allocated/8, 1) }

// FrameBytes returns the bytes per decoded frame.
func (d *Description) FrameBytes() int64 {
	return int64(d.Rows) * int64(d.Columns) * int64(d.Samples) * int64(d.SampleBytes())
}

// errorf is fmt.Errorf with the package's prefix.
func errorf(format string, args ...any) error { return fmt.Errorf("pixel: "+format, args...) }
