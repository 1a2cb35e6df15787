// Command abuse sends a server of ours what an attacker and a careless operator would, from outside: over its sockets, by
// files in its folder, and by signals. It starts the server itself, on loopback, tries one thing after the other within a
// bounded time, and prints a table: what was sent, what came back, how long it took, the most memory that the server had,
// and whether the next ordinary answer was right, to the bit.
//
//	go run ./bench/serving/abuse --melo bin/melo --base B --adapter busi.safetensors
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"
)

// row is one thing that is tried.
type row struct {
	name string
	do   func(ctx context.Context, s *server) (status string, err error)
}

// most bounds the time of one row.
const most = 4 * time.Minute

func main() {
	var o options
	flag.StringVar(&o.melo, "melo", "bin/melo", "the program")
	flag.StringVar(&o.base, "base", "", "base that it serves")
	flag.StringVar(&o.adapter, "adapter", "", "file of an adapter for it")
	flag.StringVar(&o.only, "only", "", "only rows with these words in their name")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "abuse:", err)
		os.Exit(1)
	}
}

type options struct{ melo, base, adapter, only string }

func run(ctx context.Context, o options) error {
	s, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Printf("idle: %d MB; the budget of requests is 1 GiB\n\n", s.peak()>>20)
	fmt.Println("| input | answer | seconds | peak MB | next answer |\n|---|---|---|---|---|")
	wrong := 0
	for _, r := range slices.Concat(rows[:len(rows)-1], outside, later, rows[len(rows)-1:]) { // the last ends the server
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !matches(r.name, o.only) {
			continue
		}
		s.resetPeak()
		limited, cancel := context.WithTimeout(ctx, most)
		began := time.Now()
		status, err := r.do(limited, s)
		took := time.Since(began)
		cancel()
		if err != nil {
			status = "error: " + err.Error()
		}
		peak, next := s.peak(), "right"
		if err := s.ordinary(ctx); err != nil {
			next = err.Error()
			wrong++
			if s.alive() != nil {
				if err := s.restart(ctx); err != nil {
					return err
				}
			}
		}
		fmt.Printf("| %s | %.110s | %.1f | %d | %s |\n", r.name, status, took.Seconds(), peak>>20, next)
	}
	if wrong > 0 {
		return fmt.Errorf("%d wrong", wrong)
	}
	return nil
}
