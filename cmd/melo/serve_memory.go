package main

import (
	"math"
	"runtime"
	"runtime/debug"
)

// memoryBeside is what the process takes beside what is counted: connections, stacks, the runtime's own.
const memoryBeside = 128 << 20

// boundMemory tells the collector what there is room for: what is taken now, and the budgets of requests and adapters.
// Otherwise garbage may take as much as what lives. GOMEMLIMIT goes before.
func (r *server) boundMemory() {
	if !r.bounded && debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	r.bounded = true
	adapters := int64(r.options.AdapterMemory)
	if adapters == 0 {
		for _, a := range r.Engine().Registry().List() {
			adapters += a.Bytes - a.Own
		}
		adapters -= r.Engine().Stats().ResidentBytes
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	adapters += baseMemory(r.Engine(), int64(r.options.BaseMemory))
	debug.SetMemoryLimit(int64(m.Sys-m.HeapReleased) + adapters + int64(r.options.RequestMemory) + memoryBeside)
}
