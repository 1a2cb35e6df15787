package atomicfile

import (
	"context"
	"io"
)

// Interruptible returns a writer that fails with the error of ctx once ctx is done.
func Interruptible(ctx context.Context, w io.Writer) io.Writer { return contextWriter{ctx, w} }

// contextWriter stops writing once its context is done.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c contextWriter) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}
