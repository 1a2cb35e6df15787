package vit

import "melo.example/melo/vit/arch"

// The types of package arch that describe a network, under the names that users of vit know.
type (
	// Config describes the shape of a network.
	Config = arch.Config
	// Activation is the non-linearity of the MLP.
	Activation = arch.Activation
	// Pooling says how the token sequence becomes one feature vector.
	Pooling = arch.Pooling
	// Kind is one of the linear maps of a block to which an adapter can be added.
	Kind = arch.Kind
	// Site identifies one linear map by block and kind.
	Site = arch.Site
)

// The poolings of package arch.
const (
	PoolClass     = arch.PoolClass
	PoolMean      = arch.PoolMean
	PoolClassDist = arch.PoolClassDist
	PoolClassMean = arch.PoolClassMean
	PoolTokens    = arch.PoolTokens
)

// The linear maps of package arch.
const (
	Q    = arch.Q
	K    = arch.K
	V    = arch.V
	Proj = arch.Proj
	FC1  = arch.FC1
	FC2  = arch.FC2
)

// ParseKind is the inverse of Kind.String.
func ParseKind(s string) (Kind, error) { return arch.ParseKind(s) }

func siteAt(block int, k Kind) Site { return Site{Block: block, Kind: k} }
