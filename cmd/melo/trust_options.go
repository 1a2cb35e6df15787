package main

import (
	facade "melo.example/melo"
	"melo.example/melo/lora/trust"
)

// trustOptions say which adapters may be used.
type trustOptions struct {
	Allow string `placeholder:"FILE" group:"Trusted adapters:" help:"File of SHA-256 digests, one per line as sha256sum prints them, optionally with the adapter's name: refuse all other adapters."`
	Trust string `placeholder:"FILE" group:"Trusted adapters:" help:"File of trusted public keys (see melo sign): refuse adapters without a signature of one of them."`
}

// trusting returns the options as an option of the library.
func (o *trustOptions) trusting() (facade.Option, error) {
	p, err := trust.Read(o.Allow, o.Trust)
	return facade.Trusting(p), badInput(err)
}
