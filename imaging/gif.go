package imaging

import (
	"bytes"
	"compress/lzw"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errEnd reports that the data end before the image is complete.
var errEnd = errors.New("the file ends early")

// gifFrame is the first frame of a GIF, and information from the rest of the file.
type gifFrame struct {
	w, h        int // size of the screen, enlarged to contain the frame
	x, y, fw, f int // position and size (fw x f) of the frame
	palette     []byte
	// transparent colour index, or -1; its stored colour is used, and fills the screen around the frame
	transparent int
	interlaced  bool
	width       int // bits per literal code
	codes       []byte
	frames      int
}

// readGIF parses the blocks of a file (GIF89a specification). It counts the frames after the first.
func readGIF(data []byte) (*gifFrame, error) {
	if len(data) < 13 {
		return nil, errEnd
	}
	g := &gifFrame{transparent: -1}
	screenW, screenH := int(binary.LittleEndian.Uint16(data[6:])), int(binary.LittleEndian.Uint16(data[8:]))
	pos := 13
	table := func(flags byte) []byte {
		n := 3 << (flags&7 + 1)
		if flags&0x80 == 0 {
			return nil
		}
		t := data[min(pos, len(data)):min(pos+n, len(data))]
		pos += n
		return t
	}
	global := table(data[10])
	transparent := -1
	for pos < len(data) && data[pos] != 0x3b {
		kind := data[pos]
		pos++
		switch {
		case kind == 0x21 && pos < len(data): // an extension
			control := data[pos] == 0xf9
			pos++
			var body []byte
			body, pos = gifBlocks(data, pos, control)
			if control && len(body) >= 4 && body[0]&1 != 0 {
				transparent = int(body[3])
			}
		case kind == 0x2c:
			if pos+10 > len(data) {
				return g.sized(screenW, screenH)
			}
			d := data[pos:]
			pos += 9
			local := table(d[8])
			width := pos
			pos++
			first := g.frames == 0
			var codes []byte
			codes, pos = gifBlocks(data, pos, first)
			if first {
				at := func(i int) int { return int(binary.LittleEndian.Uint16(d[i:])) }
				g.x, g.y, g.fw, g.f = at(0), at(2), at(4), at(6)
				g.palette, g.interlaced, g.transparent = global, d[8]&0x40 != 0, transparent
				if d[8]&0x80 != 0 {
					g.palette = local
				}
				if width >= len(data) {
					return nil, errEnd
				}
				g.width, g.codes = int(data[width]), codes
			}
			g.frames++
		}
	}
	return g.sized(screenW, screenH)
}

func (g *gifFrame) sized(screenW, screenH int) (*gifFrame, error) {
	if g.frames == 0 {
		return nil, fmt.Errorf("no frame: %w", errEnd)
	}
	g.w, g.h = max(screenW, g.x+g.fw), max(screenH, g.y+g.f)
	if g.fw < 1 || g.f < 1 {
		return nil, fmt.Errorf("frame of %d x %d pixels", g.fw, g.f)
	}
	if g.width < 2 || g.width > 8 {
		return nil, fmt.Errorf("codes of %d bits, expected 2 to 8", g.width)
	}
	return g, nil
}

// gifBlocks joins sub-blocks if wanted, and returns the position after them.
func gifBlocks(data []byte, pos int, wanted bool) (body []byte, next int) {
	for pos < len(data) {
		n := int(data[pos])
		pos++
		if n == 0 {
			break
		}
		if wanted {
			body = append(body, data[min(pos, len(data)):min(pos+n, len(data))]...)
		}
		pos += n
	}
	return body, pos
}

func inspectGIF(data []byte, _ Options) (Info, error) {
	g, err := readGIF(data)
	if err != nil {
		return Info{}, err
	}
	n := int64(g.w) * int64(g.h)
	return Info{W: g.w, H: g.h, Bits: 8, Pages: g.frames, Work: n, Bytes: 4*n + int64(len(g.codes))}, nil
}

// decodeGIF decodes the first frame with its stored colours, as Pillow does.
func decodeGIF(ctx context.Context, data []byte, _ Options) (*Image, error) {
	g, err := readGIF(data)
	if err != nil {
		return nil, err
	}
	index := make([]uint8, g.w*g.h)
	if g.transparent > 0 {
		for i := range index {
			index[i] = uint8(g.transparent)
		}
	}
	codes := lzw.NewReader(bytes.NewReader(g.codes), lzw.LSB, g.width)
	defer codes.Close()
	for k := range g.f {
		if k%64 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		at := (g.y+g.row(k))*g.w + g.x
		if _, err := io.ReadFull(codes, index[at:at+g.fw]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errEnd
			}
			return nil, err
		}
	}
	p := newPalette(g.palette)
	if g.palette == nil { // greys, as with Pillow
		for i := range p.colours {
			p.colours[i] = [3]uint8{uint8(i), uint8(i), uint8(i)}
		}
	}
	return p.image(index, g.w, g.h), nil
}

// row returns where the k-th row of the data goes.
func (g *gifFrame) row(k int) int {
	if !g.interlaced {
		return k
	}
	for _, p := range [4][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}} { // first row and step of each pass
		n := (g.f - p[0] + p[1] - 1) / p[1]
		if k < n {
			return p[0] + k*p[1]
		}
		k -= max(n, 0)
	}
	return 0
}
