package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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

// tokenDocument is the --json document of "melo token new".
type tokenDocument struct {
	Name     string   `json:"name"`
	Role     string   `json:"role"`
	Adapters []string `json:"adapters,omitempty"` // that it may know of; absent: all
	Token    string   `json:"token"`
	Line     string   `json:"line"`
}

// Run makes a token.
func (o *tokenNewOptions) Run(_ context.Context, s *stdio) error {
	if err := access.CheckName(o.Name); err != nil {
		return usage(err)
	}
	role, err := access.ParseRole(o.Role)
	if err != nil {
		return usage(err)
	}
	token, hash := access.NewToken()
	line := fmt.Sprintf("%s %v %s", o.Name, role, hash)
	if o.Expires != "" {
		t, err := expiry(o.Expires)
		if err != nil {
			return usage(err)
		}
		line += " expires=" + t.Format(time.RFC3339)
	}
	if len(o.Adapters) > 0 {
		if role != access.Viewer {
			return usage(errors.New("--adapters is for viewers: who may change adapters sees them all"))
		}
		var names []string
		for _, name := range o.Adapters {
			names = append(names, access.EscapeName(name))
		}
		list := strings.Join(names, ",")
		if _, err := access.ParseNames(list); err != nil {
			return usage(fmt.Errorf("--adapters: %w", err))
		}
		line += " adapters=" + list
	}
	s.printf("%s", line)
	if !s.json {
		s.notef("the token of %s, which is shown only now: %s", o.Name, token)
	}
	return s.document(tokenDocument{o.Name, role.String(), o.Adapters, token, line})
}

// expiry is when a token ends: at the end of a day, or at a time.
func expiry(text string) (time.Time, error) {
	if day, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--expires %.40q, expected a day such as 2027-01-31 or a time in RFC 3339", text)
	}
	return t, nil
}
