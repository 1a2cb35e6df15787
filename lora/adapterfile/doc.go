// Package adapterfile reads and writes adapters on disk: the native file, LoRA-ViT ("MeLo") files, and PEFT
// folders. docs/format/adapter.md describes the native file.
//
// Input is not trusted: every tensor must be used, every number must be finite, and everything must agree with
// the description. Errors name the file, the tensor, what was expected and what was found, and list unused and
// missing tensors.
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
	// Extra holds the tensors of a fully fine-tuned base, named "base." and the canonical name of the tensor
	// (package vit). Only files with method "full" have them.
	Extra []safetensors.TensorData
	// Fit describes the training images; nil if unknown, as in files of older versions.
	Fit *fit.Description
	// Digest identifies the adapter: "sha256:" and the hexadecimal SHA-256 of the whole file. For a PEFT folder
	// it is the digest of lines "DIGEST  NAME\n", as sha256sum prints them, one for each of its two files and
	// one for a config.json with label names if there is one. Empty if the adapter was neither read from nor
	// written to a file.
	Digest string
	Path   string // where it was read from or written to
	From   Kind   // format it was read from; Unknown if it was made in memory

	deferred bool // Extra was not computed, see Import.Defer
}

// BasePrefix precedes the canonical name of a tensor in Extra.
const BasePrefix = "base."

// Limits of a description, far above any published adapter.
const (
	maxRank      = 1 << 12
	maxBlocks    = 1 << 8
	maxWidth     = 1 << 18
	maxLabels    = 1 << 13
	maxSelfTests = 64       // number of inputs; each is a pass through the base
	maxMetadata  = 4 << 20  // bytes of the JSON document
	maxTokens    = 1 << 17  // keys, values and brackets in the JSON; each may cost a hundred bytes of memory
	maxFile      = 64 << 30 // a fully fine-tuned model includes all weights
	maxImport    = 4 << 30
)

// failf returns an error about a file.
func failf(path, format string, args ...any) error {
	return fmt.Errorf("adapterfile: %s: "+format, append([]any{path}, args...)...)
}

// someOf lists names for a message, truncating a long list.
func someOf(names []string) string {
	const most = 6
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
