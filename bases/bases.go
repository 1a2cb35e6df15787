// Package bases finds frozen backbones by the name that a user gives: a folder or file, or [Embedded], the
// small base that is part of the program.
package bases

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"sync"

	"melo/internal/memo"
	"melo/lora/adapterfile"
	"melo/safetensors"
	"melo/vit"
)

// Embedded is the name of the base that is part of the program. A folder of that name is "./embedded".
const Embedded = "embedded"

//go:embed embedded
var files embed.FS

// Files returns the folder of the embedded base: config.json, preprocessor_config.json, model.safetensors, the
// record of how it was trained, and its licence.
func Files() fs.FS {
	sub, err := fs.Sub(files, Embedded)
	if err != nil {
		panic("bases: " + err.Error()) // the name is a constant
	}
	return sub
}

// Open is vit.Open by name.
func Open(name string, o vit.Options) (*vit.Model, error) {
	if name == Embedded {
		return vit.OpenFS(Files(), Embedded, o)
	}
	return vit.Open(name, o)
}

// Tensors opens the weights of the embedded base.
func Tensors() (*safetensors.File, error) {
	data, err := fs.ReadFile(Files(), weightsName)
	if err != nil {
		return nil, err
	}
	return safetensors.Parse(data, Embedded)
}

// Licence returns the terms of the embedded base.
func Licence() (string, error) {
	text, err := fs.ReadFile(Files(), "LICENCE")
	return string(text), err
}

// Digest is adapterfile.BaseDigestMemo by name.
func Digest(known *memo.Cache, name string) (string, error) {
	if name == Embedded {
		return embeddedDigest()
	}
	return adapterfile.BaseDigestMemo(known, name)
}

const weightsName = "model.safetensors"

var embeddedDigest = sync.OnceValues(func() (string, error) {
	data, err := fs.ReadFile(Files(), weightsName)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
})
