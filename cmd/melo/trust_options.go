package main

import (
	facade "melo.example/melo"
	"melo.example/melo/lora/trust"
)

// trustOptions say which adapters may be used.
type trustOptions struct {
	Allow string `placeholder:"FILE" group:"Which adapters are trusted:" help:"List of digests, one a line, if wanted with the adapter's name, as sha256sum prints them: other adapters are refused."`
	Trust string `placeholder:"FILE" group:"Which adapters are trusted:" help:"List of keys (melo sign): adapters that none of them has signed are refused."`
}

// trusting is the option of the library.
func (o *trustOptions) trusting() (facade.Option, error) {
	p, err := trust.Read(o.Allow, o.Trust)
	return facade.Trusting(p), badInput(err)
}
