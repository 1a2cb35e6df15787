package codestream

import (
	"cmp"
	"slices"
)

// place is a precinct and its position in a progression by position.
type place struct {
	y, x      int64
	comp, res int32
	k         int32
}

const placeBytes = 64 // with what sorting and growing needs

// progress reads the tile's packets in the order of its progressions.
func (t *Tile) progress(q *packets) error {
	volumes := t.Coding.Volumes
	if len(volumes) == 0 {
		volumes = []Volume{{Order: t.Coding.Order, R1: maxLevels + 1, C1: len(t.Comps), L1: t.Coding.Layers}}
	}
	steps := &counter{}
	for _, v := range volumes {
		if err := t.volume(q, v, steps); err != nil {
			return err
		}
	}
	return nil
}

// counter limits how many packets a header can make the reader skip without reading: progressions may refer to
// packets that have been read already.
type counter struct{ idle int64 }

const maxIdle = 1 << 26

func (c *counter) skip() error {
	if c.idle++; c.idle > maxIdle {
		return malformed("progressions name too many packets that were read before")
	}
	return nil
}

// volume reads the packets of one progression that have not been read before.
func (t *Tile) volume(q *packets, v Volume, steps *counter) error {
	v.L1 = min(v.L1, t.Coding.Layers)
	v.C1 = min(v.C1, len(t.Comps))
	places, err := t.places(v)
	if err != nil {
		return err
	}
	defer t.budget.Give(int64(len(places)), placeBytes)
	switch v.Order {
	case LRCP:
		return t.byLayer(q, v, places, steps)
	case RLCP:
		for r := 0; len(places) > 0; r++ {
			n := 0
			for n < len(places) && int(places[n].res) == r {
				n++
			}
			if err := t.byLayer(q, v, places[:n], steps); err != nil {
				return err
			}
			places = places[n:]
		}
		return nil
	}
	for _, p := range places {
		r := &t.Comps[p.comp].Resolutions[p.res]
		prec := &r.precincts[p.k]
		if prec.layer >= v.L1 {
			if err := steps.skip(); err != nil {
				return err
			}
		}
		for prec.layer < v.L1 {
			if err := t.next(q, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// next reads the next packet of a precinct.
func (t *Tile) next(q *packets, p place) error {
	c := &t.Comps[p.comp]
	r := &c.Resolutions[p.res]
	prec := &r.precincts[p.k]
	if err := q.read(c, r, int(p.k), prec.layer); err != nil {
		return err
	}
	prec.layer++
	return nil
}

// byLayer reads, layer after layer, one packet of each place.
func (t *Tile) byLayer(q *packets, v Volume, places []place, steps *counter) error {
	first := v.L1
	for _, p := range places {
		first = min(first, t.Comps[p.comp].Resolutions[p.res].precincts[p.k].layer)
	}
	for l := first; l < v.L1; l++ {
		for _, p := range places {
			if t.Comps[p.comp].Resolutions[p.res].precincts[p.k].layer != l {
				if err := steps.skip(); err != nil {
					return err
				}
				continue
			}
			if err := t.next(q, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// places lists the precincts of a progression in order, ignoring layers. The position of a precinct is where
// the loops of T.800 B.12 over the reference grid meet it: its corner, or the tile's corner if that is inside
// the precinct.
func (t *Tile) places(v Volume) ([]place, error) {
	n := int64(0)
	for c := v.C0; c < v.C1; c++ {
		for r := v.R0; r < min(v.R1, len(t.Comps[c].Resolutions)); r++ {
			n += int64(len(t.Comps[c].Resolutions[r].precincts))
		}
	}
	if err := t.budget.Take("precincts in order", n, placeBytes); err != nil {
		return nil, err
	}
	all := make([]place, 0, n)
	for c := v.C0; c < v.C1; c++ {
		for r := v.R0; r < min(v.R1, len(t.Comps[c].Resolutions)); r++ {
			all = t.appendPlaces(all, c, r)
		}
	}
	byPosition := func(a, b place) int { return cmp.Or(cmp.Compare(a.y, b.y), cmp.Compare(a.x, b.x)) }
	byComp := func(a, b place) int { return cmp.Compare(a.comp, b.comp) }
	byRes := func(a, b place) int { return cmp.Compare(a.res, b.res) }
	byIndex := func(a, b place) int { return cmp.Compare(a.k, b.k) }
	var keys []func(a, b place) int
	switch v.Order {
	case LRCP, RLCP:
		keys = []func(a, b place) int{byRes, byComp, byIndex}
	case RPCL:
		keys = []func(a, b place) int{byRes, byPosition, byComp, byIndex}
	case PCRL:
		keys = []func(a, b place) int{byPosition, byComp, byRes, byIndex}
	case CPRL:
		keys = []func(a, b place) int{byComp, byPosition, byRes, byIndex}
	}
	slices.SortFunc(all, func(a, b place) int {
		for _, key := range keys {
			if d := key(a, b); d != 0 {
				return d
			}
		}
		return 0
	})
	return all, nil
}

func (t *Tile) appendPlaces(all []place, c, r int) []place {
	comp := &t.Comps[c]
	res := &comp.Resolutions[r]
	n := uint(comp.Coding.Levels - r)
	for k := range res.precincts {
		px, py := res.X0>>res.pw+int64(k)%res.nx, res.Y0>>res.ph+int64(k)/res.nx
		all = append(all, place{
			y:    max(t.Y0, gridScale(py, uint(res.ph)+n, comp.dy)),
			x:    max(t.X0, gridScale(px, uint(res.pw)+n, comp.dx)),
			comp: int32(c), res: int32(r), k: int32(k),
		})
	}
	return all
}

// gridScale returns v * 2^n * d, v being small where n is large: at most 2^33 in all.
func gridScale(v int64, n uint, d int64) int64 { return v << n * d }
