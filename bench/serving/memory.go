package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// memoryResult is what resident adapters take.
type memoryResult struct {
	Adapters     int     `json:"adapters"`
	Listed       int64   `json:"listed_bytes"`   // growth of the process by their descriptions
	Resident     int64   `json:"resident_bytes"` // and by their matrices
	Booked       int64   `json:"booked_bytes"`   // what the engine's budget counts
	ListSeconds  float64 `json:"list_seconds"`   // of reading and checking every file
	LoadSeconds  float64 `json:"load_seconds"`   // of loading all
	BytesOfFiles int64   `json:"-"`
}

// measureMemory loads all adapters and looks how the process grows.
func measureMemory(ctx context.Context, o *options) (any, error) {
	b, err := newBench(ctx, o)
	if err != nil {
		return nil, err
	}
	settled := func() int64 {
		debug.FreeOSMemory()
		return residentBytes()
	}
	empty := *o
	empty.dir = ""
	without := *b
	without.o = &empty
	bare, err := without.engine(ctx, 0)
	if err != nil {
		return nil, err
	}
	bare.Close()
	before := settled()
	r := memoryResult{Adapters: o.adapters}
	start := time.Now()
	e, err := b.engine(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	r.ListSeconds = time.Since(start).Seconds()
	r.Listed = settled() - before
	start = time.Now()
	if err := loadAll(ctx, e); err != nil {
		return nil, err
	}
	r.LoadSeconds = time.Since(start).Seconds()
	r.Resident, r.Booked = settled()-before, e.Stats().ResidentBytes
	const mb = 1e6
	fmt.Printf("%d adapters: %.1f MB listed in %.2f s, %.1f MB with their matrices, loaded in %.2f s; the budget counts %.1f MB\n",
		r.Adapters, float64(r.Listed)/mb, r.ListSeconds, float64(r.Resident)/mb, r.LoadSeconds, float64(r.Booked)/mb)
	return r, nil
}
