// Command imaging decodes image files with package imaging, for compare.py to hold beside Pillow.
//
//	imaging OUT < names
//
// It reads names of files, one a line, and writes one line of JSON for each: what was decoded, or why not. The samples,
// 16-bit ones little-endian, go to OUT, one after the other.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"melo.example/melo/imaging"
)

type line struct {
	File    string  `json:"file"`
	Error   string  `json:"error,omitempty"`
	W       int     `json:"w,omitempty"`
	H       int     `json:"h,omitempty"`
	C       int     `json:"c,omitempty"`
	Bits    int     `json:"bits,omitempty"`
	Stored  int     `json:"stored,omitempty"`
	Pages   int     `json:"pages,omitempty"`
	Format  string  `json:"format,omitempty"`
	Note    string  `json:"note,omitempty"`
	Bytes   int     `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "imaging:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("expected the name of a file for the samples")
	}
	f, err := os.Create(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	enc := json.NewEncoder(os.Stdout)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		l, err := decode(out, in.Text())
		if err != nil {
			return err
		}
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return out.Flush()
}

// decode decodes a file, or page n of FILE where the name is FILE#n.
func decode(out io.Writer, name string) (line, error) {
	l := line{File: name}
	path, opt := name, imaging.Options{}
	if file, page, ok := strings.Cut(name, "#"); ok {
		if _, err := fmt.Sscan(page, &opt.Page); err != nil {
			return l, err
		}
		path = file
	}
	data, err := imaging.ReadFile(path, opt.Limits)
	if err != nil {
		l.Error = err.Error()
		return l, nil
	}
	start := time.Now()
	m, err := imaging.DecodeContext(context.Background(), data, path, opt)
	l.Seconds = time.Since(start).Seconds()
	if err != nil {
		l.Error = err.Error()
		return l, nil
	}
	l.W, l.H, l.C, l.Bits, l.Stored, l.Pages, l.Format, l.Note = m.W, m.H, m.C, m.Bits, m.Source.Bits, m.Source.Pages, m.Source.Format, m.Source.Note
	if m.Bits == 16 {
		l.Bytes = 2 * len(m.Pix16)
		return l, binary.Write(out, binary.LittleEndian, m.Pix16)
	}
	l.Bytes = len(m.Pix8)
	_, err = out.Write(m.Pix8)
	return l, err
}
