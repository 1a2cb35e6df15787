package lora

import (
	"slices"
	"testing"

	"melo.example/melo/internal/bf16"
	"melo.example/melo/vit"
)

// TestResidentHalves: an adapter whose numbers are those of bfloat16 takes half the memory, and changes no bit
// of a result, in one batch with others or alone; beside a narrow base every adapter is rounded to one.
func TestResidentHalves(t *testing.T) {
	base := setup(t, 3)
	a := randomAdapter(t, base, Config{Kinds: allKinds, Rank: 5}, 3, 1)
	wide := a.Resident(vit.F32)
	if wide.Delta(a.Deltas[0].Site).A.BF16 != nil {
		t.Fatal("numbers lost bits")
	}
	before, narrow := wide.Bytes(), a.Resident(vit.I8)
	for _, d := range a.Deltas {
		for _, x := range [][]float32{d.A, d.B} {
			for i, v := range x {
				x[i] = bf16.Widen(bf16.Round(v)) // wide sees the memory of a, narrow does not
			}
		}
	}
	half := a.Resident(vit.F32)
	deltas, head := a.Parameters()
	if got, want := half.Bytes(), int64(2*deltas+4*head); got != want || before != int64(4*(deltas+head)) {
		t.Errorf("%d bytes of %d, expected %d", got, before, want)
	}
	x, e := images(3), base.NewEngine(3)
	s := []Segment{{Adapter: wide, Images: 3}}
	want := slices.Clone(e.Features(x, 3, s...))
	s = []Segment{{Adapter: half, Images: 1}, {Adapter: wide, Images: 1}, {Adapter: half, Images: 1}}
	if !slices.Equal(e.Features(x, 3, s...), want) {
		t.Error("features of an adapter in 16 bits differ")
	}
	s = []Segment{{Adapter: narrow, Images: 3}}
	if !slices.Equal(e.Features(x, 3, s...), want) || narrow.Bytes() != half.Bytes() {
		t.Error("an adapter for a narrow base is not that adapter rounded to 16 bits")
	}
	if allocs := testing.AllocsPerRun(5, func() { e.Features(x, 3, s...) }); allocs > 0 {
		t.Errorf("a pass allocates %v times", allocs)
	}
}

// TestResidentOfNothing: no adapter, and one without deltas.
func TestResidentOfNothing(t *testing.T) {
	if (*Adapter)(nil).Resident(vit.F32) != nil {
		t.Error("nothing became something")
	}
	base := setup(t, 1)
	linear := randomAdapter(t, base, Config{}, 2, 1)
	linear.Deltas = nil
	if r := linear.Resident(vit.F32); r.Adapts() || r.Head() != linear.Head {
		t.Error("a head alone became something else")
	}
}
