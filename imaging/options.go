package imaging

import (
	"context"
	"io"
)

// Options says how an image is decoded. The zero value means the first page under [DefaultLimits].
type Options struct {
	// Limits bounds what the image may be, and what decoding it may cost.
	Limits Limits
	// Page is the page of a TIFF of several or the frame of a DICOM object, counted from 0. Of animations only frame 0
	// can be had.
	Page int
	// Window is [Recipe.Window]: how grey values of DICOM objects are chosen.
	Window string
}

// Info is what an image file says about itself, and what decoding it costs.
type Info struct {
	// Format is the format's name: "PNG", "JPEG", "GIF", "BMP", "TIFF", "WebP", "PNM".
	Format string
	// W and H are the size in pixels as stored, before an orientation is applied.
	W, H int
	// C is the number of channels of the decoded image, 1 (grey) or 3 (RGB), 0 where only decoding tells.
	C int
	// Bits is the number of bits per sample that the file stores: 1 to 64. Palettes count as 8, the bits of their
	// colours. A camera's 12 bits in a file of 16 are 16 here: [Image.Max] tells what is used.
	Bits int
	// Unscaled says that the format leaves open which sample is white: integers that are signed or have more than 16 bits.
	// Float says that samples were floating point numbers, with white at 1.
	Unscaled, Float bool
	// Pages is the number of pages of a TIFF or of frames of an animation, 1 for others. Page is the one at hand.
	Pages, Page int
	// Note says what is odd about the image, "" where nothing is.
	Note string
	// Window is the window through which a DICOM object was seen, as [Recipe.Window] has it.
	Window string
	// Bytes is the memory that decoding takes at most, the decoded image included, the file excluded.
	Bytes int64
	// Work is how many samples decoding goes over. It exceeds the samples of the image where a file has them in
	// parts, as progressive JPEGs do.
	Work int64
}

// Inspect tells what an encoded image is and what decoding it would cost, under the same limits as decoding,
// without decoding it. name only appears in errors.
func Inspect(data []byte, name string, opt Options) (Info, error) {
	_, info, err := open(data, name, opt)
	return info, err
}

// DecodeContext decodes an image. It ends early, with the context's error, when ctx is done. name, usually the
// path, only appears in errors. The format is told by the content.
func DecodeContext(ctx context.Context, data []byte, name string, opt Options) (img *Image, err error) {
	f, info, err := open(data, name, opt)
	if err != nil {
		return nil, err
	}
	defer recoverDecoder(f.name, name, &err)
	img, err = f.decode(ctx, data, opt)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, errorf("%s: %s: %w", name, f.name, err)
	}
	if f.orientation != nil {
		note := img.Source.Note
		img = orient(img, f.orientation(data))
		img.Source.Note = note
	}
	info.C, info.Note = img.C, img.Source.Note
	if f == &dicomFormat {
		info.Window = opt.Window
	}
	img.Source = info
	if err := img.check(); err != nil {
		return nil, errorf("%s: %s: %w", name, f.name, err)
	}
	return img, nil
}

// DecodeFileContext reads a regular file and decodes it as [DecodeContext] does.
func DecodeFileContext(ctx context.Context, path string, opt Options) (*Image, error) {
	data, err := ReadFile(path, opt.Limits)
	if err != nil {
		return nil, err
	}
	return DecodeContext(ctx, data, path, opt)
}

// reader serves data in small pieces and ends when ctx is done, so that decoders which know no context end, too.
type reader struct {
	ctx  context.Context
	data []byte
}

// piece is how much is served at once.
const piece = 4096

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.data[:min(piece, len(r.data))])
	r.data = r.data[n:]
	return n, nil
}
