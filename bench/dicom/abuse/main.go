// Command abuse cuts and changes DICOM objects and reads what is left, to find panics, hangs and memory beyond what a
// header may ask for.
//
//	go run ./bench/dicom/abuse -cuts 50 -flips 200 FOLDER
//
// Each object is cut at places spread over its length, and a single bit is flipped at places drawn with a fixed seed.
// What is left is parsed, and its frames are decoded and shown, the first eight of them. It prints how the trials ended,
// the slowest and the largest, and exits with 1 after a panic, a trial over five seconds or one over the memory limit.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"time"

	"melo.example/melo/dicom"
	"melo.example/melo/dicom/pixel"
)

// limits are what a reader of objects from outside would set.
var (
	limits      = dicom.Limits{MaxInflatedBytes: 64 << 20}
	pixelLimits = pixel.Limits{MaxFrameBytes: 64 << 20, MaxFrames: 1 << 16}
)

// most is what a trial may allocate all in all: the codecs of a frame of the limit, several times over.
const most = 16 * (64 << 20)

type trial struct {
	name  string
	took  time.Duration
	bytes uint64
}

func main() {
	cuts := flag.Int("cuts", 50, "places at which each object is cut")
	flips := flag.Int("flips", 200, "bits that are flipped in each object, one at a time")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: abuse [-cuts N] [-flips N] FOLDER...")
		os.Exit(2)
	}
	debug.SetMemoryLimit(2 << 30)
	ends := map[string]int{}
	var slow, large []trial
	bad := 0
	for _, root := range flag.Args() {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || filepath.Ext(path) == ".csv" || filepath.Ext(path) == ".json" {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil || len(data) == 0 {
				return err
			}
			try := func(what string, data []byte) {
				t := trial{name: path + " " + what}
				end := t.run(data)
				ends[end]++
				if end == "panic" || t.took > 5*time.Second || t.bytes > most {
					bad++
					fmt.Printf("%s: %s after %v, %d MB\n", t.name, end, t.took.Round(time.Millisecond), t.bytes>>20)
				}
				slow, large = append(slow, t), append(large, t)
			}
			for i := range *cuts {
				n := len(data) * i / *cuts
				try(fmt.Sprintf("cut at %d", n), data[:n:n])
			}
			rng := rand.New(rand.NewPCG(1, uint64(len(data))))
			changed := append([]byte(nil), data...)
			for range *flips {
				bit := rng.IntN(8 * len(data))
				if rng.IntN(2) == 0 { // half of them in the header
					bit = rng.IntN(8 * min(len(data), 2048))
				}
				changed[bit/8] ^= 1 << (bit % 8)
				try(fmt.Sprintf("bit %d flipped", bit), changed)
				changed[bit/8] ^= 1 << (bit % 8)
			}
			sort.Slice(slow, func(i, j int) bool { return slow[i].took > slow[j].took })
			sort.Slice(large, func(i, j int) bool { return large[i].bytes > large[j].bytes })
			slow, large = slow[:min(len(slow), 3)], large[:min(len(large), 3)]
			return nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "abuse:", err)
			os.Exit(1)
		}
	}
	fmt.Println("ends:", ends)
	for _, t := range slow {
		fmt.Printf("slowest: %v %s\n", t.took.Round(time.Millisecond), t.name)
	}
	for _, t := range large {
		fmt.Printf("largest: %d MB allocated %s\n", t.bytes>>20, t.name)
	}
	if bad > 0 {
		fmt.Println(bad, "trials went wrong")
		os.Exit(1)
	}
}

// run reads data and says how it ended.
func (t *trial) run(data []byte) (end string) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	defer func() {
		t.took = time.Since(start)
		runtime.ReadMemStats(&after)
		t.bytes = after.TotalAlloc - before.TotalAlloc
		if r := recover(); r != nil {
			fmt.Printf("%s: panic: %v\n%s\n", t.name, r, debug.Stack())
			end = "panic"
		}
	}()
	f, err := dicom.Parse(data, "", limits)
	if err != nil {
		if f == nil {
			return "refused"
		}
		end = "ends early"
	}
	d, err := pixel.DescribeLimits(f, pixelLimits)
	switch {
	case errors.Is(err, pixel.ErrNoPixels):
		return "no pixels"
	case err != nil:
		return "pixels refused"
	}
	for i := range min(d.Frames, 8) {
		if _, err := d.View(i, pixel.Window{}); err != nil {
			return "frame refused"
		}
	}
	return "shown"
}
