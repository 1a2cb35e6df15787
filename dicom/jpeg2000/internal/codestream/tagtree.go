package codestream

// node is a node of a tag tree. Its value is at least low, and equal to low once done.
type node struct {
	low  uint16
	done bool
}

// tagTree codes a grid of numbers, T.800 B.10.2. Nodes lie level by level, the leaves first.
type tagTree struct {
	w, h  int
	nodes []node
}

// tagNodes returns how many nodes a tree over w x h leaves has.
func tagNodes(w, h int64) int64 {
	n := w * h
	for w > 1 || h > 1 {
		w, h = (w+1)>>1, (h+1)>>1
		n += w * h
	}
	return n
}

// decode reads bits until the value of leaf (x, y) is known, or known to be at least threshold. It returns the
// bound.
func (t *tagTree) decode(b *headBits, x, y int, threshold uint16) (value uint16, done bool) {
	var offsets [32]int32
	levels := 0
	w, h := t.w, t.h
	at := 0
	for {
		offsets[levels] = int32(at + (y>>levels)*w + x>>levels)
		levels++
		if w <= 1 && h <= 1 {
			break
		}
		at += w * h
		w, h = (w+1)>>1, (h+1)>>1
	}
	low := uint16(0)
	for l := levels - 1; l >= 0; l-- {
		n := &t.nodes[offsets[l]]
		n.low = max(n.low, low)
		for n.low < threshold && !n.done {
			if b.bit() == 1 {
				n.done = true
			} else {
				n.low++
			}
		}
		low = n.low
		done = n.done
	}
	return low, done
}

// headBits reads the bits of packet headers: after a byte of ones a bit is stuffed, T.800 B.10.1.
type headBits struct {
	data  []byte
	at    int
	cur   uint32
	n     uint
	short bool // more bits were requested than are available
}

func (b *headBits) bit() uint32 {
	if b.n == 0 {
		b.n = 8
		if b.cur == 0xFF {
			b.n = 7
		}
		b.cur = 0
		if b.at < len(b.data) {
			b.cur = uint32(b.data[b.at])
		} else {
			b.short = true
		}
		b.at++
	}
	b.n--
	return b.cur >> b.n & 1
}

func (b *headBits) bits(n int) uint32 {
	v := uint32(0)
	for ; n > 0; n-- {
		v = v<<1 | b.bit()
	}
	return v
}

// align ends a packet header: it skips the rest of the byte, and the byte after a byte of ones.
func (b *headBits) align() {
	if b.cur == 0xFF {
		if b.at >= len(b.data) {
			b.short = true
		}
		b.at++
	}
	b.n, b.cur = 0, 0
}
