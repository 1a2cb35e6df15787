package vit

import (
	"fmt"
	"strings"

	"melo.example/melo/internal/kernel"
)

// Kind is one of the linear maps of a block that an adapter may sit beside.
type Kind uint8

// The linear maps of a block. With SwiGLU, FC1 is the fused [gate; up] map of 2*MLP outputs.
const (
	Q Kind = iota
	K
	V
	Proj
	FC1
	FC2
	kinds
)

var kindNames = [...]string{"q", "k", "v", "proj", "fc1", "fc2"}

// String returns "q", "k", "v", "proj", "fc1" or "fc2".
func (k Kind) String() string { return kindNames[k] }

// ParseKind is the inverse of Kind.String.
func ParseKind(s string) (Kind, error) {
	for i, n := range kindNames {
		if n == s {
			return Kind(i), nil
		}
	}
	return 0, fmt.Errorf("vit: unknown site %q, expected one of %s", s, strings.Join(kindNames[:], ", "))
}

// Site names one linear map: a block and a kind.
type Site struct {
	Block int
	Kind  Kind
}

// String returns for example "blocks.3.q".
func (s Site) String() string { return fmt.Sprintf("blocks.%d.%s", s.Block, s.Kind) }

// Dims returns the input and output width of the map at a site of kind k.
func (c *Config) Dims(k Kind) (in, out int) {
	up := c.MLP
	if c.SwiGLU {
		up *= 2
	}
	switch k {
	case FC1:
		return c.Width, up
	case FC2:
		return c.MLP, c.Width
	}
	return c.Width, c.Width
}

// Rows tells an adapter what the rows of a matrix are: images in order, each with the same number of
// consecutive rows (all tokens, or only the pooled ones in the last block).
type Rows struct {
	First  int // the first image's place in the batch, which may pass in parts
	Images int // number of images n
	Each   int // rows per image
}

// Adapter adds a low-rank delta beside the frozen maps. Implementations see matrices of
// rows.Images*rows.Each rows, image by image.
type Adapter interface {
	// Has reports whether any row has a delta at site.
	Has(site Site) bool
	// Forward adds the delta of x [rows, in] to y [rows, out].
	Forward(ex *kernel.Exec, site Site, rows Rows, x, y kernel.Mat)
	// Backward accumulates the gradients of the delta's own parameters from x and dy and, if dx has
	// data, adds the delta's input gradient to dx.
	Backward(ex *kernel.Exec, site Site, rows Rows, x, dy, dx kernel.Mat)
}
