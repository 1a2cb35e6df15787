// Package jpeg decodes JPEG images (ITU-T T.81) of 8 bits a sample, baseline, extended and progressive, with
// the numbers of libjpeg: its integer inverse DCT, and what it does where a restart marker is lost.
//
// It gives the planes of the components as they are coded. Colour and upsampling are the caller's, who knows the
// container: a JPEG inside a TIFF has its colours named there.
//
// Bytes are untrusted. [ReadHeader] walks over all markers without decoding, so that the caller knows what
// decoding would cost; [Decode] asks for permission to go on at each row of blocks.
package jpeg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The markers of T.81, table B.1, that are read here.
const (
	sof0 = 0xc0 // baseline
	sof1 = 0xc1 // extended sequential
	sof2 = 0xc2 // progressive
	dht  = 0xc4
	dac  = 0xcc
	rst0 = 0xd0
	rst7 = 0xd7
	soi  = 0xd8
	eoi  = 0xd9
	sos  = 0xda
	dqt  = 0xdb
	dnl  = 0xdc
	dri  = 0xdd
	app0 = 0xe0
	adbe = 0xee // APP14, by Adobe
	ls   = 0xf7 // the frame of JPEG-LS (T.87)
	tem  = 0x01
)

// ErrUnsupported is wrapped by the errors of images whose coding process is known, and not decoded here.
var ErrUnsupported = errors.New("not supported")

// errEnd says that the bytes end before the image does.
var errEnd = errors.New("the file ends early")

// maxComponents is the greatest number of components of a frame that is read here.
const maxComponents = 4

// Component is one component of a frame (T.81, B.2.2).
type Component struct {
	ID   byte // its name in scans
	H, V int  // sampling factors, 1 to 4
	tq   byte // quantisation table, 0 to 3
}

// Header is what the markers of a file say.
type Header struct {
	W, H        int
	Precision   int // bits a sample
	Progressive bool
	Components  []Component
	JFIF        bool // an APP0 segment of JFIF
	Adobe       int  // the transform of Adobe's APP14 segment, 0 to 2; -1 when there is no such segment

	// Scans counts the scans of the file. Visits is the number of samples that they go over together: the cost
	// of decoding, which a progressive file of many empty scans drives up without growing. Both are zero
	// where only the frame was read.
	Scans  int
	Visits int64

	baseline bool
}

// Samples returns the number of samples of the image, all components, in whole blocks.
func (h *Header) Samples() int64 {
	n := int64(0)
	for i := range h.Components {
		w, rows := h.blocks(i)
		n += 64 * int64(w) * int64(rows)
	}
	return n
}

// most returns the greatest sampling factors.
func (h *Header) most() (hs, vs int) {
	for _, c := range h.Components {
		hs, vs = max(hs, c.H), max(vs, c.V)
	}
	return hs, vs
}

// mcus returns the number of minimum coded units of an interleaved scan in a row and in a column.
func (h *Header) mcus() (across, down int) {
	hs, vs := h.most()
	return ceilDiv(h.W, 8*hs), ceilDiv(h.H, 8*vs)
}

// blocks returns the number of blocks of component i in a row and in a column, with those that only fill up
// the last units.
func (h *Header) blocks(i int) (across, down int) {
	mx, my := h.mcus()
	return mx * h.Components[i].H, my * h.Components[i].V
}

// PlaneSize returns the size of component i in samples that belong to the image (T.81, A.1.1).
func (h *Header) PlaneSize(i int) (w, rows int) {
	hs, vs := h.most()
	return ceilDiv(h.W*h.Components[i].H, hs), ceilDiv(h.H*h.Components[i].V, vs)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// ReadHeader reads all markers of a file, and decodes nothing.
func ReadHeader(data []byte) (*Header, error) {
	h := &Header{Adobe: -1}
	r := markers{data: data, pos: 2}
	if len(data) < 2 || data[0] != 0xff || data[1] != soi {
		return nil, errors.New("no start of image")
	}
	for {
		marker, body, err := r.next()
		if errors.Is(err, errEnd) && h.Components != nil {
			return h, nil // whether what is there is enough, decoding tells
		}
		if err != nil {
			return nil, err
		}
		switch marker {
		case sos:
			if h.Components == nil {
				return nil, errors.New("a scan before the frame")
			}
			h.countScan(body)
		case eoi:
			if h.Components == nil {
				return nil, errors.New("no frame")
			}
			return h, nil
		default:
			if err := h.segment(marker, body); err != nil {
				return nil, err
			}
		}
	}
}

// segment reads what a segment says about the image as a whole; others are left alone.
func (h *Header) segment(marker byte, body []byte) error {
	switch {
	case marker == app0 && len(body) >= 5 && string(body[:5]) == "JFIF\x00":
		h.JFIF = true
	case marker == adbe && len(body) >= 12 && string(body[:5]) == "Adobe":
		h.Adobe = int(body[11])
	case marker == ls:
		return fmt.Errorf("JPEG-LS: %w: convert it to PNG", ErrUnsupported)
	case marker >= sof0 && marker <= 0xcf && marker != dht && marker != 0xc8 && marker != dac:
		if h.Components != nil {
			return errors.New("two frames in one image")
		}
		return h.frame(marker, body)
	case marker == dnl:
		return fmt.Errorf("a height that follows the image (DNL): %w: convert the file with another program", ErrUnsupported)
	}
	return nil
}

// process names the coding processes that are not decoded here.
func process(marker byte) string {
	switch marker {
	case 0xc3:
		return "lossless JPEG"
	case 0xc5, 0xc6, 0xc7, 0xcd, 0xce, 0xcf:
		return "hierarchical JPEG"
	case 0xc9, 0xca:
		return "JPEG with arithmetic coding"
	case 0xcb:
		return "lossless JPEG with arithmetic coding"
	}
	return ""
}

// frame reads a frame header (T.81, B.2.2).
func (h *Header) frame(marker byte, b []byte) error {
	if name := process(marker); name != "" {
		return fmt.Errorf("%s: %w: convert it to baseline JPEG or PNG", name, ErrUnsupported)
	}
	if len(b) < 6 || len(b) < 6+3*int(b[5]) {
		return errors.New("frame header: too short")
	}
	h.Precision = int(b[0])
	h.H, h.W = int(binary.BigEndian.Uint16(b[1:])), int(binary.BigEndian.Uint16(b[3:]))
	n := int(b[5])
	h.baseline, h.Progressive = marker == sof0, marker == sof2
	if h.Precision != 8 {
		return fmt.Errorf("JPEG of %d bits a sample: %w: convert it to PNG or TIFF of 16 bits", h.Precision, ErrUnsupported)
	}
	if n != 1 && n != 3 && n != 4 {
		return fmt.Errorf("JPEG of %d components: %w: expected 1, 3 or 4", n, ErrUnsupported)
	}
	if h.W == 0 || h.H == 0 {
		return fmt.Errorf("frame header: %d x %d pixels", h.W, h.H)
	}
	list := make([]Component, n)
	for i := range list {
		e := b[6+3*i:]
		c := Component{ID: e[0], H: int(e[1] >> 4), V: int(e[1] & 15), tq: e[2]}
		if c.H < 1 || c.H > 4 || c.V < 1 || c.V > 4 || c.tq > 3 {
			return fmt.Errorf("frame header: component %d: sampling %d x %d, table %d", i, c.H, c.V, c.tq)
		}
		for _, other := range list[:i] {
			if other.ID == c.ID {
				return fmt.Errorf("frame header: two components are called %d", c.ID)
			}
		}
		list[i] = c
	}
	if n == 1 {
		list[0].H, list[0].V = 1, 1 // one component is never interleaved (A.2.2)
	}
	h.Components = list
	return nil
}

// countScan adds up what a scan header asks for. What is wrong with it is for decoding to say.
func (h *Header) countScan(b []byte) {
	h.Scans++
	if len(b) < 1 {
		return
	}
	for k := range min(int(b[0]), (len(b)-1)/2) {
		for i, c := range h.Components {
			if c.ID == b[1+2*k] {
				w, rows := h.blocks(i)
				h.Visits += 64 * int64(w) * int64(rows)
			}
		}
	}
}

// markers walks over a file, marker by marker.
type markers struct {
	data []byte
	pos  int
}

// next returns the next marker and its segment's body. Bytes that are no marker, the coded data of scans among
// them, are skipped, as libjpeg does.
func (r *markers) next() (marker byte, body []byte, err error) {
	for {
		i := bytes.IndexByte(r.data[r.pos:], 0xff)
		if i < 0 || r.pos+i+1 >= len(r.data) {
			r.pos = len(r.data)
			return 0, nil, errEnd
		}
		r.pos += i + 1
		marker = r.data[r.pos]
		if marker == 0xff {
			continue // a fill byte: the marker's code is still to come
		}
		r.pos++
		if marker == 0 || marker == tem || marker == soi || marker >= rst0 && marker <= rst7 {
			continue
		}
		break
	}
	if marker == eoi {
		return marker, nil, nil
	}
	if r.pos+2 > len(r.data) {
		return 0, nil, errEnd
	}
	n := int(binary.BigEndian.Uint16(r.data[r.pos:]))
	if n < 2 {
		return 0, nil, fmt.Errorf("segment %02x: length %d, expected at least 2", marker, n)
	}
	if r.pos+n > len(r.data) {
		return 0, nil, errEnd
	}
	body = r.data[r.pos+2 : r.pos+n]
	r.pos += n
	return marker, body, nil
}
