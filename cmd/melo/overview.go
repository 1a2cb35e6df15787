package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// printHelp prints the overview on one screen, or the help of the command given.
func printHelp(options kong.HelpOptions, k *kong.Context) error {
	if k.Selected() != nil {
		return kong.DefaultHelpPrinter(options, k)
	}
	w := k.Stdout
	fmt.Fprintf(w, "%s\nUsage: melo COMMAND [OPTIONS]     melo COMMAND --help has options and examples\n\n", description)
	var also []string
	for _, c := range k.Model.Children {
		switch {
		case c.Hidden:
		case c.Group != nil:
			also = append(also, c.Name)
		default:
			fmt.Fprintf(w, "  %-10s  %s\n", c.Name, c.Help)
		}
	}
	fmt.Fprintf(w, "  also: %s\n", strings.Join(also, ", "))
	_, err := fmt.Fprintln(w, "--json prints one JSON document. Research software, not a medical device.")
	return err
}

// helpCommand turns "help" and "help COMMAND" into --help.
func helpCommand(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(args[1:len(args):len(args)], "--help")
	}
	return args
}
