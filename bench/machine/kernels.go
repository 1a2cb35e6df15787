package machine

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/internal/par"
	"melo.example/melo/vit"
)

// Kernel is one kernel at one shape. Kernels that are bound by memory have a rate of bytes instead of
// operations.
type Kernel struct {
	Name      string `json:"name"`      // gemm, attention, layernorm, gelu
	Shape     string `json:"shape"`     // "rows x in x out"; "images x tokens x heads x width of a head"; "rows x width"
	Precision string `json:"precision"` // of the operands
	Threads   int    `json:"threads"`
	Timing
	GFLOPS      float64 `json:"gflops,omitempty"`
	ShareOfPeak float64 `json:"share_of_peak,omitempty"`
	GBPerSecond float64 `json:"gigabytes_per_second,omitempty"` // read and written once
}

// kernelCase is one row to measure.
type kernelCase struct {
	name, shape  string
	elem         kernel.Elem
	flops, bytes float64
	run          func()
}

// kernels measures the kernels at the shapes of the base, a batch of four images and one image, on one
// thread and on all.
func (b *Bench) kernels(ctx context.Context) error {
	pools := []*par.Pool{b.pool}
	if b.pool.Workers() > 1 {
		one := par.New(1)
		defer one.Close()
		pools = []*par.Pool{one, b.pool}
	}
	for _, pool := range pools {
		for _, c := range b.kernelCases(kernel.NewExec(pool)) {
			t, share, err := b.measure(ctx, pool, c.elem, c.flops, c.run)
			if err != nil {
				return err
			}
			k := Kernel{Name: c.name, Shape: c.shape, Precision: c.elem.String(), Threads: pool.Workers(), Timing: t}
			if c.flops > 0 {
				k.GFLOPS, k.ShareOfPeak = c.flops/t.Seconds/1e9, share
			} else {
				k.GBPerSecond = c.bytes / t.Seconds / 1e9
			}
			b.Result.Kernels = append(b.Result.Kernels, k)
			b.report(&k)
		}
	}
	return nil
}

// kernelCases lists the rows, with operands of their own.
func (b *Bench) kernelCases(ex *kernel.Exec) []kernelCase {
	c := &b.config
	rng := rand.New(rand.NewPCG(1, 1))
	var cases []kernelCase
	d, tokens := c.Width, c.Tokens()
	for _, images := range []int{4, 1} {
		rows := images * tokens
		for _, shape := range [][2]int{{d, d}, {d, 3 * d}, {d, c.MLP}, {c.MLP, d}} {
			cases = append(cases, gemmCase(ex, kernel.Elem(b.prec), rng, rows, shape[0], shape[1]))
		}
	}
	rows := 4 * tokens
	x, y := normalMat(rng, rows, c.MLP), kernel.NewMat(rows, c.MLP)
	cases = append(cases, b.attentionCase(ex, rng, 4), normCase(ex, rng, rows, d),
		kernelCase{name: "gelu", shape: fmt.Sprintf("%dx%d", rows, c.MLP), bytes: 8 * float64(rows*c.MLP),
			run: func() { ex.Activate(y, x, kernel.GELUErf) }})
	return cases
}

// gemmCase is y = x Wᵀ, the product of every linear map of the model, in matrices as the engine has them.
func gemmCase(ex *kernel.Exec, elem kernel.Elem, rng *rand.Rand, rows, in, out int) kernelCase {
	x, y := kernel.NewBuffer(rows, in), kernel.NewBuffer(rows, out)
	for i := range x.Data {
		x.Data[i] = float32(rng.NormFloat64())
	}
	w := kernel.PackAs(ex, elem, normalMat(rng, out, in).Data, out, in)
	return kernelCase{name: "gemm", elem: elem, shape: fmt.Sprintf("%dx%dx%d", rows, in, out),
		flops: 2 * float64(rows) * float64(in) * float64(out),
		run:   func() { ex.Gemm(y, x, w, kernel.Epilogue{}) }}
}

// attentionCase is the forward pass of attention; softmax is not counted as operations.
func (b *Bench) attentionCase(ex *kernel.Exec, rng *rand.Rand, images int) kernelCase {
	c := &b.config
	t := c.Tokens()
	qkv, o := normalMat(rng, images*t, 3*c.Width), kernel.NewMat(images*t, c.Width)
	elem := kernel.Elem(vit.AttentionPrecision(b.prec))
	shape := kernel.AttnShape{Images: images, Queries: t, Keys: t, Heads: c.Heads, Elem: elem, Scale: float32(1 / math.Sqrt(float64(c.HeadDim())))}
	part := func(i int) kernel.Mat { return qkv.ColRange(i*c.Width, (i+1)*c.Width) }
	return kernelCase{name: "attention", elem: elem, shape: fmt.Sprintf("%dx%dx%dx%d", images, t, c.Heads, c.HeadDim()),
		flops: float64(images) * c.AttentionFLOPs(),
		run:   func() { ex.Attention(shape, o, part(0), part(1), part(2), nil) }}
}

func normCase(ex *kernel.Exec, rng *rand.Rand, rows, width int) kernelCase {
	x, y := normalMat(rng, rows, width), kernel.NewMat(rows, width)
	gain, bias := normalMat(rng, 1, width).Data, make([]float32, width)
	return kernelCase{name: "layernorm", shape: fmt.Sprintf("%dx%d", rows, width), bytes: 8 * float64(rows*width),
		run: func() { ex.LayerNorm(y, x, gain, bias, 1e-6, kernel.RowStats{}) }}
}

// normalMat returns a matrix of normally distributed values.
func normalMat(rng *rand.Rand, rows, cols int) kernel.Mat {
	m := kernel.NewMat(rows, cols)
	for i := range m.Data {
		m.Data[i] = float32(rng.NormFloat64())
	}
	return m
}
