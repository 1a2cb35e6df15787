// Package kernel is the arithmetic of the ViT: slices in, slices out, no knowledge of models.
//
// Single-threaded functions work on slices and pick assembly or a plain loop by a package boolean.
// Exec has the parallel operations. Package ref holds the plain meaning of every kernel.
package kernel

import "melo.example/melo/internal/par"

// Activation names an element-wise non-linearity.
type Activation uint8

// The activations that Vision Transformers use.
const (
	Identity  Activation = iota
	GELUErf              // x * Phi(x), the exact GELU (Hendrycks & Gimpel, arXiv 1606.08415)
	GELUTanh             // its tanh approximation
	GELUQuick            // x * sigmoid(1.702 x), of OpenAI's CLIP
)

// Epilogue is what Gemm does to a finished tile of y = A*B before it leaves the cache:
//
//	y += Bias; if Pre: Pre = y; y = Act(y); y *= Scale; y += Residual; C = y
//
// Empty fields are skipped. Bias and Scale have one element a column.
type Epilogue struct {
	Bias     []float32
	Act      Activation
	Pre      Mat // pre-activation, kept for backward
	Scale    []float32
	Residual Mat   // may be C itself
	Words    Words // of bfloat16: y goes there alone, and C stays as it is
}

// Workers do the parts of a task side by side, as *par.Pool does.
type Workers interface {
	Workers() int
	Run(n int, t par.Task)
}

// Exec is one stream of work: a pool, scratch for each of its workers, and reusable tasks. It is not
// safe for concurrent use; several Execs may share a pool.
type Exec struct {
	pool    Workers
	workers []*Worker

	gemm    gemmTask
	packing packTask

	narrowing narrowTask
	widening  widenTask
	narrowed  struct { // scratch for a left-hand side that comes without words
		words []float32
		quant []quant
	}
	tasks rowTasks
	attn  attnTask
}

// Worker is the scratch memory of one worker and carries the single-threaded compound operations.
type Worker struct {
	packScratch             // of the matrix products
	attn        attnScratch // score blocks of attention
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

// scratches are the buffers of a worker that grow.
var scratches = [...]func(w *Worker) *[]float32{
	func(w *Worker) *[]float32 { return &w.b },
	func(w *Worker) *[]float32 { return &w.left },
	func(w *Worker) *[]float32 { return &w.y },
	func(w *Worker) *[]float32 { return &w.attn.p },
	func(w *Worker) *[]float32 { return &w.attn.dp },
}

// level gives every worker as much scratch memory as the one that needed most so far: which worker gets the
// largest item is a matter of chance, and no later pass shall allocate because of it.
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
