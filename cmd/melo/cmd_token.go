package main

import (
	"context"

	"melo.example/melo/serve/access"
)

// tokenOptions are the commands about tokens.
type tokenOptions struct {
	New tokenNewOptions `cmd:"" help:"Make a token for a client of melo serve."`
}

// Help is the long help text.
func (tokenOptions) Help() string {
	return `Makes tokens for the clients of "melo serve --tokens".

Examples:

    melo token new --name ris --role viewer >> tokens.txt` + exitHelp
}

// tokenNewOptions are the options of "melo token new".
type tokenNewOptions struct {
	Name     string   `required:"" placeholder:"NAME" help:"Name of the client, for logs and limits."`
	Role     string   `required:"" placeholder:"ROLE" help:"viewer (asks adapters), operator (also loads and unloads them) or admin."`
	Adapters []string `placeholder:"NAME" help:"The adapters that a viewer may know of, in which * stands for any text, such as busi,chest*. To it there are no others. Default: all."`
	Expires  string   `placeholder:"DATE" help:"Last day of the token, such as 2027-01-31, or a time in RFC 3339."`
}

// Help is the long help text.
func (tokenNewOptions) Help() string {
	return `Prints a line for the token file on standard output, and the token itself on standard error. The line has
a hash of the token only: the token is stored nowhere, so give it to the client now.

Examples:

    melo token new --name ris --role viewer >> tokens.txt
    melo token new --name lab --role viewer --adapters 'a,b*' >> tokens.txt
    melo token new --name ops --role operator --expires 2027-01-31 >> tokens.txt` + exitHelp
}

// Run makes a token.
func (o *tokenNewOptions) Run(_ context.Context, s *stdio) error {
	t, err := access.Issue(o.Name, o.Role, o.Adapters, o.Expires)
	if err != nil {
		return usage(err)
	}
	s.printf("%s", t.Line)
	if !s.json {
		s.notef("the token of %s, which is shown only now: %s", t.Name, t.Token)
	}
	return s.document(t)
}
