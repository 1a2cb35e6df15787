package arch

import (
	"fmt"
	"strings"
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
	switch k {
	case FC1:
		return c.Width, c.Up()
	case FC2:
		return c.MLP, c.Width
	}
	return c.Width, c.Width
}

// Up returns the number of outputs of the MLP's first map: two branches with SwiGLU.
func (c *Config) Up() int {
	if c.SwiGLU {
		return 2 * c.MLP
	}
	return c.MLP
}
