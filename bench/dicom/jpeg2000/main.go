// Command jpeg2000 decodes files repeatedly and prints the least time of each; bench/dicom/jpeg2000.py calls it beside
// OpenJPEG.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime/pprof"
	"time"

	"melo.example/melo/dicom/jpeg2000"
)

func main() {
	times := flag.Int("n", 5, "how often each file is decoded")
	workers := flag.Int("workers", 1, "code-blocks decoded at the same time")
	sum := flag.Bool("sum", false, "print the SHA-256 of the samples (int32, little endian) in place of the time")
	profile := flag.String("cpuprofile", "", "write a profile to this file")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			log.Fatal(err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			log.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	for _, path := range flag.Args() {
		data, err := os.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		if *sum {
			fmt.Println(path, digest(data))
			continue
		}
		best := time.Duration(1 << 62)
		for range *times {
			start := time.Now()
			if _, err := jpeg2000.Decode(data, jpeg2000.Options{Workers: *workers}); err != nil {
				log.Fatalf("%s: %v", path, err)
			}
			best = min(best, time.Since(start))
		}
		fmt.Printf("%s %.6f\n", path, best.Seconds())
	}
}

// digest returns the hash of the samples, component after component, or the error.
func digest(data []byte) string {
	img, err := jpeg2000.Decode(data, jpeg2000.Options{})
	if err != nil {
		return err.Error()
	}
	h := sha256.New()
	for _, c := range img.Components {
		if err := binary.Write(h, binary.LittleEndian, c.Samples); err != nil {
			return err.Error()
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
