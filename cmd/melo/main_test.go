package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// binaryDir is where binary_test.go builds the program, in the environment environ.
var (
	binaryDir string
	environ   []string
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "melo-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaryDir = dir
	environ = os.Environ()                                   // with the cache of the go command, without which all dependencies are compiled anew
	os.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache")) // the user's is left alone; the program itself is dir/melo
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}
