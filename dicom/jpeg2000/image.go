package jpeg2000

import "melo.example/melo/dicom/jpeg2000/internal/codestream"

// The kinds of error. Every error of this package wraps one of them.
var (
	ErrFormat      = codestream.ErrFormat      // the data contradict the standard
	ErrTruncated   = codestream.ErrTruncated   // the data are truncated
	ErrUnsupported = codestream.ErrUnsupported // the data may be valid but are not supported
	ErrLimit       = codestream.ErrLimit       // decoding needs more than Options.MaxBytes
)

// DefaultMaxBytes is the memory limit if Options sets none.
const DefaultMaxBytes = 1 << 30

// Options configures decoding. The zero value is valid.
type Options struct {
	// MaxBytes limits the memory that decoding allocates, including the image; 0 means DefaultMaxBytes. An
	// image needs eight bytes per sample, twelve if it is lossy, twenty if its samples have more than about 27
	// bits, and 200 per code-block. Usual codestreams have one code-block per 4,096 samples, extreme ones one
	// per 16. If the size is known, 32 bytes per sample plus 16 MiB is a good limit.
	MaxBytes int64
	// Workers is the number of code-blocks decoded in parallel; 0 means 1. The result does not depend on it.
	Workers int
	// Partial accepts a truncated codestream. Missing parts have their lowest quality, or the middle of the
	// range if nothing is there, and Image.Truncated is set.
	Partial bool
}

func (o Options) budget() *codestream.Budget {
	if o.MaxBytes <= 0 {
		return codestream.NewBudget(DefaultMaxBytes)
	}
	return codestream.NewBudget(o.MaxBytes)
}

// ColourSpace is the colour specification of a JP2 or JPH file, numbered as in T.800 table I.10.
type ColourSpace int

// Colour spaces of Part 1. A raw codestream has none.
const (
	ColourUnknown ColourSpace = 0
	ColourSRGB    ColourSpace = 16
	ColourGrey    ColourSpace = 17
	ColourSYCC    ColourSpace = 18
	ColourICC     ColourSpace = -1 // a restricted ICC profile
)

// Image is a decoded image. A colour transform of the codestream (RCT, ICT) has been undone. A palette has been
// applied, and colour channels are in order. Nothing else is changed: Colour, or the container of the
// codestream, defines what the components mean.
type Image struct {
	Width, Height int // size of the image area on the reference grid
	Components    []Component
	Lossless      bool // every component used the reversible wavelet
	Transformed   bool // the codestream had a colour transform, which was undone
	HighThrough   bool // code-blocks of Part 15
	Truncated     bool // the data were truncated; see Options.Partial
	Colour        ColourSpace
}

// Component is one component of an image.
type Component struct {
	Width, Height int
	DX, DY        int // distance between samples on the reference grid; 1 is full resolution
	Precision     int // bits per sample, 1 to 32
	Signed        bool
	Opacity       bool // not a colour, according to the JP2 or JPH file
	// Samples holds Width x Height values in row-major order. An unsigned 32-bit sample is stored as the int32
	// with the same bits. DecodeConfig leaves Samples nil.
	Samples []int32
}
