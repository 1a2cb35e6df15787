package main

import (
	"math"
	"strings"
	"testing"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/vit"
)

func benchArgs(args ...string) []string {
	return append([]string{"--json", "bench", "--base", goldenDir("hf_vit"), "--duration", "1ms", "--threads", "2"}, args...)
}

func TestBench(t *testing.T) {
	var doc benchDocument
	melo(t, benchArgs()...).want(t, exitDone).decode(t, &doc)
	portable := doc.KernelSet == "portable" // it has no peak
	if len(doc.Kernels) != 2*11 || len(doc.Peaks) != 2 && !portable || len(doc.Forward) != 2 || doc.Step == nil || doc.Switch == nil || doc.Mixed == nil {
		t.Fatalf("parts are missing: %+v", doc)
	}
	for _, k := range doc.Kernels {
		arithmetic := k.Name == "gemm" || k.Name == "attention"
		if k.Seconds <= 0 || (k.GFLOPS > 0) != arithmetic || (k.ShareOfPeak > 0) != (arithmetic && !portable) || (k.GBPerSecond > 0) == arithmetic {
			t.Errorf("got %+v", k)
		}
	}
	if k := doc.Kernels[2]; k.Name != "gemm" || k.Shape != "68x32x64" || k.Threads != 1 {
		t.Errorf("third row %+v", k)
	}
	// q and v of three blocks of width 32 at rank 4, and a head of 14 labels.
	if want := 3*2*2*4*32 + 14*33; doc.Step.Parameters != want {
		t.Errorf("%d parameters, expected %d", doc.Step.Parameters, want)
	}
	// A pass with each adapter: what allocates does so in every one. The runtime itself makes a note now and then
	// when a goroutine has to wait.
	if s := doc.Switch; s.Allocations != 0 || s.ForwardAllocations >= uint64(s.Adapters) {
		t.Errorf("switching allocates: %+v", s)
	}
}

func TestBenchParts(t *testing.T) {
	var doc benchDocument
	melo(t, benchArgs("--only", "forward,switch")...).want(t, exitDone).decode(t, &doc)
	if doc.Kernels != nil || doc.Forward == nil || doc.Step != nil || doc.Switch == nil || doc.Mixed != nil {
		t.Errorf("got %+v", doc)
	}
	r := melo(t, benchArgs("--only", "forward")[1:]...).want(t, exitDone)
	if !strings.Contains(r.out, "forward, batch 4") || !strings.Contains(r.out, "of peak") {
		t.Errorf("table %q", r.out)
	}
	for _, args := range [][]string{{"--only", "nonsense"}, {"--threads", "-1"}, {"--duration", "0s"}, {"--base", "hf:owner"}} {
		melo(t, append([]string{"bench"}, args...)...).want(t, exitUsage)
	}
	melo(t, "bench", "--base", "nowhere").want(t, exitBadInput)
}

// Every precision that the machine has is measured against its own peak; the others are refused.
func TestBenchPrecisions(t *testing.T) {
	for _, p := range []vit.Precision{vit.BF16, vit.I8} {
		args := benchArgs("--only", "kernels,forward,step", "--precision", p.String())
		if !vit.Supports(p) {
			melo(t, args...).want(t, exitUsage)
			continue
		}
		var doc benchDocument
		melo(t, args...).want(t, exitDone).decode(t, &doc)
		if doc.Precision != p.String() || doc.Kernels[0].Precision != p.String() || doc.Kernels[8].Precision != vit.AttentionPrecision(p).String() ||
			doc.Step == nil {
			t.Errorf("%v: got %+v", p, doc)
		}
	}
	melo(t, benchArgs("--precision", "f64")...).want(t, exitUsage)
}

// Every kernel set of the machine can be measured, and the program goes on with the fastest.
func TestBenchKernels(t *testing.T) {
	before := kernel.Name()
	for _, name := range kernel.Names() {
		var doc benchDocument
		melo(t, benchArgs("--only", "forward", "--kernels", name)...).want(t, exitDone).decode(t, &doc)
		if doc.KernelSet != name || kernel.Name() != before {
			t.Errorf("--kernels %s measured %s and left %s", name, doc.KernelSet, kernel.Name())
		}
	}
	melo(t, benchArgs("--kernels", "sse2")...).want(t, exitUsage)
}

// A profile accounts for the whole pass, has every part and block, and is made only when asked for.
func TestBenchProfile(t *testing.T) {
	var doc benchDocument
	melo(t, benchArgs("--only", "profile")...).want(t, exitDone).decode(t, &doc)
	if doc.Forward != nil || len(doc.Profile) != 2 {
		t.Fatalf("got %+v", doc)
	}
	for _, d := range doc.Profile {
		share, found := 0.0, map[string]int{}
		for _, p := range d.Parts {
			share += p.Share
			found[p.Phase+" "+p.Part] = p.Calls
		}
		if math.Abs(share-1) > 1e-9 || len(d.Blocks) != doc.Base.Depth {
			t.Errorf("shares add up to %g, %d blocks", share, len(d.Blocks))
		}
		for part, calls := range map[string]int{"norm": 2, "attention": 1, "proj": 1, "fc1": 1, "fc2": 1} {
			if got := found["forward "+part]; got != calls*doc.Base.Depth {
				t.Errorf("%d calls of %s, expected %d: %v", got, part, calls*doc.Base.Depth, found)
			}
		}
	}
	step := map[string]int{}
	for _, p := range doc.Profile[1].Parts {
		step[p.Phase+" "+p.Part] = p.Calls
	}
	if step["forward adapters"] != 2*doc.Base.Depth || step["backward adapters"] != 2*doc.Base.Depth || step["update update"] != 1 || step["backward attention"] == 0 {
		t.Errorf("got %v", step)
	}
	r := melo(t, benchArgs("--only", "profile")[1:]...).want(t, exitDone)
	if !strings.Contains(r.out, "where the time goes: step") || !strings.Contains(r.out, "block 0") {
		t.Errorf("table %q", r.out)
	}
}
