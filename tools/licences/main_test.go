package main

import (
	"os"
	"strings"
	"testing"
)

// TestTexts: everything that is linked has its text, once.
func TestTexts(t *testing.T) {
	if err := os.Chdir("../.."); err != nil {
		t.Fatal(err)
	}
	text, err := Texts("./cmd/melo")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nGo go1.", "\ngoogle.golang.org/grpc v", "\ngithub.com/alecthomas/kong v", "Apache License", "Permission is hereby granted", "Redistribution and use in source and binary forms"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if n := strings.Count(text, "\ngithub.com/alecthomas/kong v"); n != 1 {
		t.Errorf("a module stands %d times", n)
	}
}
