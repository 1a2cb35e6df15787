// Package bases finds frozen backbones by the name that a user gives: a folder or file; [Embedded], the small base
// that is part of the program; or "hf:owner/name" and "hf:owner/name@revision", a model of a Hugging Face hub that
// was downloaded earlier, by "melo" or by huggingface_hub.
package bases

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"melo.example/melo/internal/hub"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/memo"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
	"melo.example/melo/vit/checkpoint"
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

// HubCache is the folder in which models of a hub lie, in the layout of huggingface_hub. It is to be changed before
// anything is opened only.
var HubCache = func() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".cache", "huggingface", "hub")
}()

// Path returns where a base lies that is named by its place on a hub; other names are paths already. The error wraps
// fs.ErrNotExist if it has not been downloaded.
func Path(name string) (string, error) {
	if !strings.HasPrefix(name, hub.Prefix) {
		return name, nil
	}
	ref, err := hub.ParseRef(name)
	if err != nil {
		return "", err
	}
	return (&hub.Client{Cache: HubCache, Offline: true}).Cached(ref)
}

// Open is vit.Open by name.
func Open(name string, o vit.Options) (*vit.Model, error) {
	if name == Embedded {
		return vit.OpenFS(Files(), Embedded, o)
	}
	path, err := Path(name)
	if err != nil {
		return nil, err
	}
	m, err := vit.Open(path, o)
	if err != nil {
		return nil, err
	}
	m.Path = name
	return m, nil
}

// Describe returns what a base is, after every number of it was read and checked, one parameter at a time.
func Describe(name string, o checkpoint.Options) (d *checkpoint.Description, err error) {
	c, err := Checkpoint(name, o)
	if err != nil {
		return nil, err
	}
	err = c.Guard(c.Path, c.Verify)
	return &c.Description, errors.Join(err, c.Close())
}

// Checkpoint is checkpoint.Open by name.
func Checkpoint(name string, o checkpoint.Options) (*checkpoint.Checkpoint, error) {
	if name == Embedded {
		return checkpoint.OpenFS(Files(), Embedded, o)
	}
	path, err := Path(name)
	if err != nil {
		return nil, err
	}
	return checkpoint.Open(path, o)
}

// Streamed is vit.Streamed by name.
func Streamed(name string, o vit.Options, images []float32, n int, segments ...vit.Segment) ([]float32, error) {
	if name == Embedded {
		return vit.StreamedFS(Files(), Embedded, o, images, n, segments...)
	}
	path, err := Path(name)
	if err != nil {
		return nil, err
	}
	return vit.Streamed(path, o, images, n, segments...)
}

// Outline is vit.Outline by name.
func Outline(name string, o vit.Options) (*vit.Model, error) {
	if name == Embedded {
		return vit.OutlineFS(Files(), Embedded, o)
	}
	path, err := Path(name)
	if err != nil {
		return nil, err
	}
	m, err := vit.Outline(path, o)
	if err != nil {
		return nil, err
	}
	m.Path = name
	return m, nil
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
	path, err := Path(name)
	if err != nil {
		return "", err
	}
	return adapterfile.BaseDigestMemo(known, path)
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
