// Command decode times the decoding of the first frame of DICOM objects on one thread:
//
//	go run ./bench/dicom/decode FILE...
//
// It prints the least milliseconds of each file, and its name. speed.py runs it in turns with pydicom.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"melo.example/melo/dicom"
	"melo.example/melo/dicom/pixel"
)

func main() {
	runtime.GOMAXPROCS(1)
	for _, path := range os.Args[1:] {
		least, err := measure(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, "decode:", err)
			os.Exit(1)
		}
		fmt.Printf("%.3f\t%s\n", float64(least.Microseconds())/1000, path)
	}
}

// measure decodes at least three times and for half a second.
func measure(path string) (least time.Duration, err error) {
	f, err := dicom.Open(path)
	if err != nil {
		return 0, err
	}
	d, err := pixel.Describe(f)
	if err != nil {
		return 0, err
	}
	least = time.Hour
	for n, begin := 0, time.Now(); n < 3 || time.Since(begin) < time.Second/2; n++ {
		start := time.Now()
		if _, err := d.Frame(0); err != nil {
			return 0, err
		}
		least = min(least, time.Since(start))
	}
	return least, nil
}
