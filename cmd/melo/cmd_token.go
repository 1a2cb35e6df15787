package main

import (
	"context"

	"melo.example/melo/serve/access"
)

// tokenOptions holds the subcommands of "melo token".
type tokenOptions struct {
	New tokenNewOptions `cmd:"" help:"Create a token for a client of melo serve."`
}

// Help returns the long help text.
func (tokenOptions) Help() string {
	return `Creates access tokens for clients of "melo serve --tokens".

Examples:

    melo token new --name ris --role viewer >> tokens.txt` + exitHelp
}

// tokenNewOptions are the options of "melo token new".
type tokenNewOptions struct {
	Name     string   `required:"" placeholder:"NAME" help:"Name of the client, for logs and limits."`
	Role     string   `required:"" placeholder:"ROLE" help:"Role: viewer (may use adapters), operator (may also load and unload them) or admin."`
	Adapters []string `placeholder:"NAME" help:"Adapters that a viewer may see and use; * matches any text, as in busi,chest*. Others do not exist for this client. Default: all."`
	Expires  string   `placeholder:"DATE" help:"Last day on which the token is valid, such as 2027-01-31, or a time in RFC 3339."`
}

// Help returns the long help text.
func (tokenNewOptions) Help() string {
	return `Prints a line for the token file on standard output, and the token on standard error. The line contains only a
hash: the token is stored nowhere, so give it to the client now.

Examples:

    melo token new --name ris --role viewer >> tokens.txt
    melo token new --name lab --role viewer --adapters 'a,b*' >> tokens.txt
    melo token new --name ops --role operator --expires 2027-01-31 >> tokens.txt` + exitHelp
}

// Run creates a token and prints it.
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
