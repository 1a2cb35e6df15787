package jpeg2000

import "melo.example/melo/dicom/jpeg2000/internal/codestream"

// The kinds of failure. Every error of this package wraps one of them.
var (
	ErrFormat      = codestream.ErrFormat      // the data contradict the standard
	ErrTruncated   = codestream.ErrTruncated   // the data end early
	ErrUnsupported = codestream.ErrUnsupported // the data may be right, and are not read
	ErrLimit       = codestream.ErrLimit       // decoding needs more than Options.MaxBytes
)

// DefaultMaxBytes is the memory that decoding may use when Options say nothing.
const DefaultMaxBytes = 1 << 30

// Options bounds and steers decoding. The zero value is ready to use.
type Options struct {
	// MaxBytes bounds the memory that decoding allocates, the image included; 0 is DefaultMaxBytes. An image needs eight
	// bytes for each sample, twelve if it is lossy, twenty if its samples have more than about 27 bits, and 200 for each
	// code-block, of which usual codestreams have one for 4,096 samples and extreme ones one for 16. Who knows the size
	// beforehand does well with 32 bytes for each sample and 16 MiB.
	MaxBytes int64
	// Workers is the number of code-blocks that are decoded at the same time; 0 is 1. The result does not depend on it.
	Workers int
	// Partial accepts a codestream that ends early. What is missing is left at its lowest quality, or at the middle of the
	// range where nothing is there, and Image.Truncated is set.
	Partial bool
}

func (o Options) budget() *codestream.Budget {
	if o.MaxBytes <= 0 {
		return codestream.NewBudget(DefaultMaxBytes)
	}
	return codestream.NewBudget(o.MaxBytes)
}

// ColourSpace is what the colour specification of a JP2 or JPH file says, numbered as in T.800 table I.10.
type ColourSpace int

// Colour spaces of Part 1. A raw codestream has none.
const (
	ColourUnknown ColourSpace = 0
	ColourSRGB    ColourSpace = 16
	ColourGrey    ColourSpace = 17
	ColourSYCC    ColourSpace = 18
	ColourICC     ColourSpace = -1 // a restricted ICC profile
)

// Image is a decoded image. A colour transform of the codestream (RCT, ICT) is undone; a palette of a file is applied, and its
// colours are in their order.
// Nothing else is changed: what the components mean is said by Colour, or by who holds the codestream.
type Image struct {
	Width, Height int // of the image area on the reference grid
	Components    []Component
	Lossless      bool // every component used the reversible wavelet
	Transformed   bool // the codestream had a colour transform, which is undone
	HighThrough   bool // code-blocks of Part 15
	Truncated     bool // the data ended early; see Options.Partial
	Colour        ColourSpace
}

// Component is one component of an image.
type Component struct {
	Width, Height int
	DX, DY        int // distance of samples on the reference grid: 1 is full resolution
	Precision     int // bits of a sample, 1 to 32
	Signed        bool
	Opacity       bool // a JP2 or JPH file says that it is no colour
	// Samples are Width x Height values, row by row. An unsigned sample of 32 bits is kept as the int32 with the same bits.
	// DecodeConfig leaves them out.
	Samples []int32
}
