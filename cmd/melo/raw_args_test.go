package main

import (
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	config "melo.example/melo/internal/settings"
)

// TestRawArgs: bytes that are not UTF-8 come through the parser of the command line.
func TestRawArgs(t *testing.T) {
	for _, a := range []string{"plain", "caf\u00e9", "n\xff.png", "\xc3", "\xff\xfe\x80"} {
		e := config.EncodeArgs([]string{a})[0]
		if !utf8.ValidString(e) || config.DecodeArg(e) != a {
			t.Errorf("%q became %q and %q", a, e, config.DecodeArg(e))
		}
	}
	var c commands
	parser, err := newParser(t.Context(), &c, &stdio{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(config.EncodeArgs([]string{"predict", "--base", "b\xff", "x\xfe.png", "y.png"})); err != nil {
		t.Fatal(err)
	}
	config.DecodeOptions(reflect.ValueOf(&c))
	if c.Predict.Base != "b\xff" || !slices.Equal(c.Predict.Images, []string{"x\xfe.png", "y.png"}) {
		t.Errorf("%q %q", c.Predict.Base, c.Predict.Images)
	}
}

// TestVersionFlag: --version is the command of that name.
func TestVersionFlag(t *testing.T) {
	want := melo(t, "version").want(t, exitDone).out
	if got := melo(t, "--version").want(t, exitDone).out; got != want {
		t.Errorf("%q, expected %q", got, want)
	}
}
