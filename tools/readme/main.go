// Command readme draws docs/demo.png, the picture in the README: synthetic images of the demo's four tasks.
//
//	go run ./tools/readme
package main

import (
	"image"
	"image/png"
	"log"
	"os"

	"golang.org/x/image/draw"

	"melo.example/melo/internal/phantom"
)

const (
	side    = 80
	columns = 6
)

func main() {
	log.SetFlags(0)
	tasks := phantom.Tasks()
	page := image.NewRGBA(image.Rect(0, 0, side*columns, side*len(tasks)))
	for row, t := range tasks {
		for col := range columns {
			at := image.Rect(col*side, row*side, (col+1)*side, (row+1)*side)
			m := t.Draw(7, 2*col).Image
			draw.CatmullRom.Scale(page, at, m, m.Bounds(), draw.Src, nil)
		}
	}
	f, err := os.Create("docs/demo.png")
	if err != nil {
		log.Fatal(err)
	}
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	if err := enc.Encode(f, page); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
}
