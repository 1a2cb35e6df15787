package compute

import "melo.example/melo/internal/par"

// Pool is Workers of this process. Close it when done.
type Pool struct{ pool *par.Pool }

// NewPool returns n workers; 0 means as many as there are cores.
func NewPool(n int) *Pool { return &Pool{par.New(n)} }

// Workers returns how many there are.
func (p *Pool) Workers() int { return p.pool.Workers() }

// Run calls t.Do once for each i in [0, n). Calls from several goroutines follow one another.
func (p *Pool) Run(n int, t interface{ Do(worker, i int) }) { p.pool.Run(n, t) }

// Close stops the workers.
func (p *Pool) Close() { p.pool.Close() }
