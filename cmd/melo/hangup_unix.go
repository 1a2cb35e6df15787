//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// onHangup calls f for every SIGHUP until stop is called. Calls do not overlap.
func onHangup(f func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			f()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
