// Package adapterfile reads and writes adapters on disk: the native file, LoRA-ViT ("MeLo") files, and
// PEFT folders. docs/format/adapter.md describes the native file.
//
// Whatever is read is hostile until it has been checked: every tensor is used or the error lists what is
// unused and what is missing, every number is finite, and everything agrees with the description.
// Errors name the file, the tensor, what was expected and what was found.
package adapterfile

import (
	"fmt"
	"strings"

	"melo.example/melo/fit"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
)

// File is an adapter with its description.
type File struct {
	Adapter *lora.Adapter
	Meta    Metadata
	// Extra are the tensors of a fully fine-tuned base, named "base." and the canonical name of the tensor
	// (package vit). Only files with method "full" have them.
	Extra []safetensors.TensorData
	// Fit describes the training images; nil if unknown, as in files written before there was such a thing.
	Fit *fit.Description
	// Digest identifies the adapter: "sha256:" and the hexadecimal SHA-256 of the whole file. That of a PEFT folder is of
	// two lines "DIGEST  NAME\n", one for each of its two files, as sha256sum prints them (and of a
	// third, where a config.json beside them has the names of labels). Empty for what did not come
	// from a file and has not been written to one.
	Digest string
	Path   string // where it was read or written
	From   Kind   // of what it was read; Unknown if it was made in memory

	deferred bool // Extra was not computed, see Import.Defer
}

// BasePrefix stands before the canonical name of a tensor in Extra.
const BasePrefix = "base."

// Limits on what a description may ask for, far above any published adapter.
const (
	maxRank      = 1 << 12
	maxBlocks    = 1 << 8
	maxWidth     = 1 << 18
	maxLabels    = 1 << 13
	maxSelfTests = 64       // inputs: each is a pass through the base
	maxMetadata  = 4 << 20  // bytes of the JSON document
	maxTokens    = 1 << 17  // keys, values and brackets in it: each may cost a hundred bytes of memory
	maxFile      = 64 << 30 // a fully tuned model has all its weights in it
	maxImport    = 4 << 30
)

// failf makes an error about one file.
func failf(path, format string, args ...any) error {
	return fmt.Errorf("adapterfile: %s: "+format, append([]any{path}, args...)...)
}

// someOf lists names for a message, not all of them if they are many.
func someOf(names []string) string {
	const most = 6
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
