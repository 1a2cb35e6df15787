package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"melo/internal/ui"
	"melo/safetensors"
)

// inspectOptions are the options of "melo inspect".
type inspectOptions struct {
	Path    string `arg:"" help:"A base or an adapter: a .safetensors file or a folder."`
	Tensors bool   `help:"List every tensor."`
	Digest  bool   `help:"Compute the SHA-256 of the file (reads all of it)."`
}

// Help is the long help text.
func (inspectOptions) Help() string {
	return `Shows what a base or an adapter is, what it needs, and how it did. Reads headers, not weights, unless
--digest is given.

Examples:

    melo inspect busi.safetensors
    melo inspect --tensors vit_tiny/
    melo --json inspect busi.safetensors` + exitHelp
}

// inspectDocument is the --json document of "melo inspect".
type inspectDocument struct {
	Path       string            `json:"path"`
	Kind       string            `json:"kind"` // base, adapter, loravit, peft or tensors
	Bytes      int64             `json:"bytes"`
	Digest     string            `json:"digest,omitempty"`
	Tensors    int               `json:"tensors"`
	Parameters int64             `json:"parameters"`
	DTypes     map[string]int    `json:"dtypes"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	List       []tensorDocument  `json:"list,omitempty"`
}

// tensorDocument is one tensor of a file.
type tensorDocument struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
}

// Run inspects one file or folder.
func (o *inspectOptions) Run(ctx context.Context, s *stdio) error {
	doc, err := inspectTensors(o.Path, o.Tensors)
	if err != nil {
		return badInput(err)
	}
	if o.Digest {
		if doc.Digest, err = fileDigest(ctx, doc.Path); err != nil {
			return badInput(err)
		}
	}
	doc.print(s)
	return s.document(doc)
}

func (d *inspectDocument) print(s *stdio) {
	s.printf("%s", d.Path)
	s.printf("  kind        %s", d.Kind)
	s.printf("  size        %s", ui.Bytes(d.Bytes))
	s.printf("  parameters  %s in %d tensors", ui.Count(d.Parameters), d.Tensors)
	if d.Digest != "" {
		s.printf("  digest      %s", d.Digest)
	}
	for _, t := range d.List {
		s.printf("  %-60s %-5s %v", t.Name, t.DType, t.Shape)
	}
}

// openTensors opens a file, a folder with one, or a sharded model.
func openTensors(path string) (*safetensors.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if filepath.Ext(path) == ".json" {
			return safetensors.OpenSharded(path)
		}
		return safetensors.Open(path)
	}
	for _, name := range []string{"model.safetensors", "adapter_model.safetensors"} {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return safetensors.Open(filepath.Join(path, name))
		}
	}
	if _, err := os.Stat(filepath.Join(path, safetensors.IndexName)); err == nil {
		return safetensors.OpenSharded(path)
	}
	return nil, fmt.Errorf("%s: expected model.safetensors, %s or adapter_model.safetensors in the folder",
		path, safetensors.IndexName)
}

func inspectTensors(path string, list bool) (*inspectDocument, error) {
	f, err := openTensors(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	doc := &inspectDocument{Path: f.Path(), Kind: "tensors", DTypes: map[string]int{}, Metadata: f.Metadata()}
	for _, name := range f.Names() {
		t, _ := f.Tensor(name)
		doc.Tensors++
		doc.Parameters += int64(t.Len())
		doc.Bytes += int64(len(t.Data))
		doc.DTypes[string(t.DType)]++
		if list {
			doc.List = append(doc.List, tensorDocument{name, string(t.DType), t.Shape})
		}
	}
	if info, err := os.Stat(f.Path()); err == nil && info.Mode().IsRegular() && filepath.Ext(f.Path()) != ".json" {
		doc.Bytes = info.Size()
	}
	return doc, nil
}

// fileDigest returns "sha256:..." of a file.
func fileDigest(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, f}); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// contextReader stops reading when its context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
