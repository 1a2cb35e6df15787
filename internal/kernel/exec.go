// Package kernel is the arithmetic of the ViT. It works on slices and knows nothing of models.
//
// Single-threaded functions choose between assembly and a plain loop by a package variable. The methods of Exec
// are the parallel operations. Package ref defines the result of every kernel in plain Go.
package kernel

import "melo.example/melo/internal/par"

// Activation is an element-wise activation function.
type Activation uint8

// The activations that Vision Transformers use.
const (
	Identity  Activation = iota
	GELUErf              // x * Phi(x), the exact GELU (Hendrycks & Gimpel, arXiv 1606.08415)
	GELUTanh             // its tanh approximation
	GELUQuick            // x * sigmoid(1.702 x), of OpenAI's CLIP
)

// Epilogue is what Gemm does to a finished tile of y = A*B while it is in the cache:
//
//	y += Bias; if Pre: Pre = y; y = Act(y); y *= Scale; y += Residual; C = y
//
// Empty fields are skipped. Bias and Scale have one element per column.
type Epilogue struct {
	Bias     []float32
	Act      Activation
	Pre      Mat // pre-activation, kept for backward
	Scale    []float32
	Residual Mat   // may be C itself
	Words    Words // of bfloat16: y is written there only, and C does not change
}

// Workers run the parts of a task in parallel, as *par.Pool does.
type Workers interface {
	Workers() int
	Run(n int, t par.Task)
}

// Exec is one stream of work: a pool, scratch memory for each of its workers, and reusable tasks. It is not
// safe for concurrent use, but several Execs may share a pool.
type Exec struct {
	pool    Workers
	workers []*Worker

	gemm    gemmTask
	packing packTask

	narrowing narrowTask
	widening  widenTask
	narrowed  struct { // scratch memory for a left-hand side that is not pre-rounded
		words []float32
		quant []quant
	}
	tasks rowTasks
	attn  attnTask
}

// Worker is the scratch memory of one worker. Its methods are the single-threaded compound operations.
type Worker struct {
	packScratch             // for matrix products
	attn        attnScratch // score blocks of attention
	next        ahead       // of attention
}

// NewExec returns an Exec on pool.
func NewExec(pool Workers) *Exec {
	e := &Exec{pool: pool}
	for range pool.Workers() {
		e.workers = append(e.workers, &Worker{})
	}
	return e
}

// Pool returns the pool that the Exec runs on.
func (e *Exec) Pool() Workers { return e.pool }

// Worker returns the scratch memory of one worker, for tasks of the pool that use its operations.
func (e *Exec) Worker(i int) *Worker { return e.workers[i] }

// scratches lists the buffers of a worker that grow.
var scratches = [...]func(w *Worker) *[]float32{
	func(w *Worker) *[]float32 { return &w.b },
	func(w *Worker) *[]float32 { return &w.left },
	func(w *Worker) *[]float32 { return &w.y },
	func(w *Worker) *[]float32 { return &w.attn.p },
	func(w *Worker) *[]float32 { return &w.attn.dp },
	func(w *Worker) *[]float32 { return &w.attn.q },
	func(w *Worker) *[]float32 { return &w.attn.o },
	func(w *Worker) *[]float32 { return &w.attn.keys.buf },
	func(w *Worker) *[]float32 { return &w.attn.values.buf },
	func(w *Worker) *[]float32 { return &w.attn.plainKeys.buf },
	func(w *Worker) *[]float32 { return &w.attn.rows.buf },
	func(w *Worker) *[]float32 { return &w.attn.manyP },
	func(w *Worker) *[]float32 { return &w.attn.manyDS },
}

// level gives every worker as much scratch memory as the worker that has most. Any worker may get the largest
// item, and a later pass must not allocate because of that.
func (e *Exec) level() {
	for _, of := range scratches {
		most := 0
		for _, w := range e.workers {
			most = max(most, cap(*of(w)))
		}
		for _, w := range e.workers {
			scratch(of(w), most)
		}
	}
}
