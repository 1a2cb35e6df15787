package main

import (
	"math"
	"runtime"
	"runtime/debug"
)

// memoryBeside is an allowance in bytes for memory that no budget counts: connections, stacks, the runtime.
const memoryBeside = 128 << 20

// boundMemory sets the garbage collector's memory limit to the memory in use plus the budgets of requests and
// adapters. Without it garbage may take as much memory as live objects. GOMEMLIMIT takes precedence.
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
