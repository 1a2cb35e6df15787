package vit

import "melo.example/melo/vit/arch"

// The description of a network, under the names that its users know. See package arch.
type (
	// Config is the shape of a network.
	Config = arch.Config
	// Activation is the non-linearity of the MLP.
	Activation = arch.Activation
	// Pooling says how the token sequence becomes one feature vector.
	Pooling = arch.Pooling
	// Kind is one of the linear maps of a block that an adapter may sit beside.
	Kind = arch.Kind
	// Site names one linear map: a block and a kind.
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
