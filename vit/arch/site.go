package arch

import (
	"fmt"
	"strings"
)

// Kind is one of the linear maps of a block to which an adapter can be added.
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

// Site identifies one linear map by block and kind. The maps of attention pooling belong to block PoolBlock.
type Site struct {
	Block int
	Kind  Kind
}

// PoolBlock is the block number of the maps of attention pooling. It sorts after all others.
const PoolBlock = MaxDepth

// String returns a name such as "blocks.3.q" or "pool.q".
func (s Site) String() string {
	if s.Block == PoolBlock {
		return "pool." + s.Kind.String()
	}
	return fmt.Sprintf("blocks.%d.%s", s.Block, s.Kind)
}

// ParseSite is the inverse of Site.String.
func ParseSite(s string) (Site, error) {
	block, module, last, inBlock := SplitName(s)
	rest, pool := strings.CutPrefix(s, "pool.")
	switch {
	case pool:
		block, module = PoolBlock, rest
	case !inBlock || last != "" || block < 0 || block >= MaxDepth || s != BlockName(block, module):
		return Site{}, fmt.Errorf("vit: %q is no site, expected blocks.N.KIND or pool.KIND", s)
	}
	k, err := ParseKind(module)
	return Site{Block: block, Kind: k}, err
}

// HasSite reports whether the network has the linear map of a site.
func (c *Config) HasSite(s Site) bool {
	return s.Block >= 0 && s.Block < c.Depth || s.Block == PoolBlock && c.Pooling == PoolAttention
}

// Sites returns every site of the network, ordered by block, then kind.
func (c *Config) Sites() []Site {
	var sites []Site
	for b := range c.Depth + 1 {
		if b == c.Depth {
			b = PoolBlock
		}
		for k := range kindNames {
			if s := (Site{Block: b, Kind: Kind(k)}); c.HasSite(s) {
				sites = append(sites, s)
			}
		}
	}
	return sites
}

// SiteDims returns the input and output width of the linear map at a site.
func (c *Config) SiteDims(s Site) (in, out int) {
	if s.Block == PoolBlock && s.Kind == FC1 {
		return c.Width, c.MLP // attention pooling has no gated branch
	}
	return c.Dims(s.Kind)
}

// Dims returns the input and output width of the linear map of kind k in a block.
func (c *Config) Dims(k Kind) (in, out int) {
	switch k {
	case FC1:
		return c.Width, c.Up()
	case FC2:
		return c.MLP, c.Width
	}
	return c.Width, c.Width
}

// Up returns the number of outputs of the MLP's first linear map: both branches with SwiGLU.
func (c *Config) Up() int {
	if c.SwiGLU {
		return 2 * c.MLP
	}
	return c.MLP
}
