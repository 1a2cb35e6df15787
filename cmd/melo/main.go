// Command melo trains small per-task adapters for a frozen Vision Transformer, and predicts with them.
//
// One file holds one command. Only this package reads flags, the environment and the terminal, prints,
// and knows exit codes; everything else is in the packages that it calls.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"melo.example/melo/internal/buildinfo"
	"melo.example/melo/report/lines"
)

// builtFrom is the commit of a release; the release build sets it with -X main.builtFrom.
var builtFrom string

func main() {
	buildinfo.From = builtFrom
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // restores the default, so that a second Ctrl-C ends the program at once
	}()
	s := &stdio{
		in:      os.Stdin,
		out:     os.Stdout,
		err:     os.Stderr,
		columns: columnsOf(os.Stderr),
	}
	os.Exit(run(ctx, os.Args[1:], s))
}

// columnsOf returns a function that returns the width of the terminal f. It is nil if f is not a terminal that
// can erase a line.
func columnsOf(f *os.File) func() int {
	fd := int(f.Fd())
	if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return func() int {
		if width, _, err := term.GetSize(fd); err == nil && width > 0 {
			return width
		}
		return lines.Width
	}
}
