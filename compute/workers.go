package compute

import "melo.example/melo/internal/par"

// Pool implements Workers with goroutines of this process. Close it after use.
type Pool struct{ pool *par.Pool }

// NewPool returns a pool of n workers; 0 means one per core.
func NewPool(n int) *Pool { return &Pool{par.New(n)} }

// Workers returns the number of workers.
func (p *Pool) Workers() int { return p.pool.Workers() }

// Run calls t.Do once for each i in [0, n). Concurrent calls run one after another.
func (p *Pool) Run(n int, t interface{ Do(worker, i int) }) { p.pool.Run(n, t) }

// Close stops the workers.
func (p *Pool) Close() { p.pool.Close() }
