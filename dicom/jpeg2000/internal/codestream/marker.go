package codestream

import "encoding/binary"

// Marker codes of T.800 table A.2 and T.814.
const (
	soc = 0xFF4F
	cap = 0xFF50
	siz = 0xFF51
	cod = 0xFF52
	coc = 0xFF53
	cpf = 0xFF59
	qcd = 0xFF5C
	qcc = 0xFF5D
	rgn = 0xFF5E
	poc = 0xFF5F
	ppm = 0xFF60
	ppt = 0xFF61
	sot = 0xFF90
	sop = 0xFF91
	eph = 0xFF92
	sod = 0xFF93
	eoc = 0xFFD9

	// Marker segments of T.801 that change what samples mean.
	dco = 0xFF70
	vms = 0xFF71
	dfs = 0xFF72
	ads = 0xFF73
	mct = 0xFF74
	mcc = 0xFF75
	nlt = 0xFF76
	mic = 0xFF77
	cbd = 0xFF78
	ato = 0xFF79
)

// alone reports whether a marker stands without a segment.
func alone(m int) bool { return m >= 0xFF30 && m <= 0xFF3F }

// part2 reports whether a marker belongs to an extension of T.801 without which samples would come out wrong.
func part2(m int) bool {
	switch m {
	case dco, vms, dfs, ads, mct, mcc, nlt, mic, cbd, ato:
		return true
	}
	return false
}

// reader reads big-endian numbers of a marker segment. Past the end it yields zeros and remembers that.
type reader struct {
	data  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.data) {
		r.short = true
		r.data = nil
		return make([]byte, 4)[:min(n, 4)]
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) u8() int  { return int(r.take(1)[0]) }
func (r *reader) u16() int { return int(binary.BigEndian.Uint16(r.take(2))) }
func (r *reader) u32() int64 {
	return int64(binary.BigEndian.Uint32(r.take(4)))
}

// component reads a component's number, which has one byte for up to 256 components.
func (r *reader) component(components int) int {
	if components < 257 {
		return r.u8()
	}
	return r.u16()
}

// segment returns the payload of the marker segment whose length field stands at data[at], and where it ends.
func segment(data []byte, at int, marker int) (payload []byte, end int, err error) {
	if at+2 > len(data) {
		return nil, 0, truncated("marker %04X at byte %d has no length", marker, at-2)
	}
	n := int(binary.BigEndian.Uint16(data[at:]))
	if n < 2 {
		return nil, 0, malformed("marker %04X at byte %d has length %d", marker, at-2, n)
	}
	if at+n > len(data) {
		return nil, 0, truncated("marker %04X at byte %d says %d bytes, %d are left", marker, at-2, n, len(data)-at)
	}
	return data[at+2 : at+n], at + n, nil
}
