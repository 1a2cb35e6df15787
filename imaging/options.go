package imaging

import (
	"context"
	"io"
)

// Options configures decoding. The zero value means the first page with [DefaultLimits].
type Options struct {
	// Limits limits the image and the cost of decoding it.
	Limits Limits
	// Page is the page of a multi-page TIFF or the frame of a DICOM object, counted from 0. Only frame 0 of
	// animations is supported.
	Page int
	// Window is [Recipe.Window]: how grey values of DICOM objects are chosen.
	Window string
}

// Info describes an image file and the cost of decoding it.
type Info struct {
	// Format is the format's name: "PNG", "JPEG", "GIF", "BMP", "TIFF", "WebP", "PNM".
	Format string
	// W and H are the size in pixels as stored, before an orientation is applied.
	W, H int
	// C is the number of channels of the decoded image, 1 (grey) or 3 (RGB), or 0 if only decoding can tell.
	C int
	// Bits is the number of bits per sample in the file: 1 to 64. Palettes count as 8, the bits of their
	// colours. A camera's 12 bits stored in 16 count as 16; [Image.Max] shows how many are used.
	Bits int
	// Unscaled says that the format does not define which sample is white: integers that are signed or have
	// more than 16 bits. Float says that samples are floating-point numbers with white at 1.
	Unscaled, Float bool
	// Pages is the number of pages of a TIFF or of frames of an animation; 1 for others. Page is the present
	// one.
	Pages, Page int
	// Note describes an oddity of the image; "" if there is none.
	Note string
	// Window is the window through which a DICOM object was rendered, in the form of [Recipe.Window].
	Window string
	// Bytes is the maximum memory of decoding, including the decoded image, but not the file.
	Bytes int64
	// Work is the number of samples that decoding processes. It exceeds the samples of the image if the file
	// stores them in several parts, as progressive JPEGs do.
	Work int64
}

// Inspect describes an encoded image and the cost of decoding it, with the same limits as decoding, without
// decoding it. name appears only in errors.
func Inspect(data []byte, name string, opt Options) (Info, error) {
	_, info, err := open(data, name, opt)
	return info, err
}

// DecodeContext decodes an image. If ctx is cancelled it stops with the context's error. name, usually the
// path, appears only in errors. The content determines the format.
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

// reader serves data in small pieces and stops when ctx is cancelled, so that decoders without context support
// stop, too.
type reader struct {
	ctx  context.Context
	data []byte
}

// piece is the number of bytes served at once.
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
