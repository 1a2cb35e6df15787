package inspect

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"melo.example/melo/bases"
	"melo.example/melo/internal/golden"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/trust"
	"melo.example/melo/safetensors"
)

// native writes an adapter of melo, and returns its path.
func native(t *testing.T) string {
	t.Helper()
	f, err := adapterfile.ReadPEFT(filepath.Join(golden.Root(t), "adapters/peft_qv"), adapterfile.Import{Look: true})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.safetensors")
	if err := f.WriteTypes(path, adapterfile.Types{DType: safetensors.F32}); err != nil {
		t.Fatal(err)
	}
	return path
}

func put(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOpen: what each kind of file is said to be.
func TestOpen(t *testing.T) {
	root := golden.Root(t)
	a := native(t)
	for _, c := range []struct {
		path, kind string
		check      func(d *Document) bool
	}{
		{filepath.Join(root, "hf_vit"), "base", func(d *Document) bool {
			b := d.Base
			return b.Family == "vit" && b.Naming == "hf" && b.Width == 32 && b.Depth == 3 && b.Heads == 2 && b.MLP == 64 && b.Image == 16 && b.Patch == 4 &&
				b.Tokens == 17 && b.Features == 32 && b.Classes == 5 && b.Recipe.Size == 16 && b.Labels == nil && b.RecipeNote != "" && d.DTypes["F32"] == d.Tensors
		}},
		{filepath.Join(root, "hf_vit", "model.safetensors"), "base", func(d *Document) bool { return d.Base.Naming == "hf" }},
		{filepath.Join(root, "timm_vit"), "base", func(d *Document) bool { return d.Base.Naming == "timm" && d.Base.Labels == nil }},
		{filepath.Join(root, "dinov2"), "base", func(d *Document) bool { return d.Base.Family == "dinov2" }},
		{bases.Embedded, "base", func(d *Document) bool {
			return d.Licence != "" && strings.HasPrefix(d.Digest, "sha256:") && d.Bytes > 0
		}},
		{a, "adapter", func(d *Document) bool {
			return d.Adapter.Digest != "" && d.Adapter.Deltas > 0 && len(d.Adapter.Sites) > 0 && d.Metadata == nil && d.Base == nil
		}},
		{filepath.Join(root, "adapters/peft_qv"), "peft", func(d *Document) bool { return d.Adapter.Deltas > 0 }},
		{filepath.Join(root, "adapters/peft_qv/adapter_config.json"), "peft", func(d *Document) bool { return d.Adapter.Deltas > 0 }},
		{filepath.Join(root, "adapters/loravit/adapter.safetensors"), "loravit", func(d *Document) bool { return d.Adapter.Head > 0 }},
	} {
		d, err := Open(c.path, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if d.Kind != c.kind || d.Tensors == 0 || d.Parameters == 0 || d.Bytes == 0 || d.List != nil || d.Nearest != nil || !c.check(d) {
			t.Errorf("%s: %+v, base %+v", c.path, d, d.Base)
		}
		if info, err := os.Stat(d.Path); c.path != bases.Embedded && (err != nil || info.Size() != d.Bytes) {
			t.Errorf("%s: %d bytes at %s, %v", c.path, d.Bytes, d.Path, err)
		}
	}
	d, err := Open(a, Options{Tensors: true})
	if err != nil || len(d.List) != d.Tensors {
		t.Fatalf("%+v, %v", d, err)
	}
	var total int64
	for _, x := range d.List {
		n := int64(1)
		for _, s := range x.Shape {
			n *= int64(s)
		}
		total += n
	}
	if total != d.Parameters {
		t.Errorf("the listed tensors have %d numbers, the document says %d", total, d.Parameters)
	}
}

// TestOpenOther: tensors that are nothing which is read are summed up; a file without tensors is named, if it can be.
func TestOpenOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	list := []safetensors.TensorData{{Name: "a", DType: safetensors.F16, Shape: []int{2, 3}, Data: make([]byte, 12)}, {Name: "b", DType: safetensors.F32, Shape: []int{5}, Data: make([]byte, 20)}}
	if err := safetensors.WriteFile(path, 0o600, list, map[string]string{"who": "somebody"}); err != nil {
		t.Fatal(err)
	}
	d, err := Open(path, Options{})
	if d == nil || d.Kind != "tensors" || d.Tensors != 2 || d.Parameters != 11 || d.DTypes["F16"] != 1 || d.DTypes["F32"] != 1 || d.Metadata["who"] != "somebody" || d.Nearest != nil {
		t.Errorf("%+v, %v", d, err)
	}
	at := func(n int, text string) []byte { return append(make([]byte, n), text...) }
	for what, data := range map[string][]byte{
		"a picture (PNG)": []byte("\x89PNG\r\n\x1a\nrest"), "a picture (JPEG)": []byte("\xff\xd8\xff\xe0"), "a picture (GIF)": []byte("GIF89a"),
		"a picture (WebP)": []byte("RIFF\x00\x00\x00\x00WEBPVP8 "), "a DICOM object": at(128, "DICM"), "an HDF5 file": []byte("\x89HDF\r\n"),
		"a GGUF file": []byte("GGUF\x03"), "a gzip file: unpack it": []byte("\x1f\x8b\x08"), "a TensorFlow Lite model": at(4, "TFL3"),
		"a pointer of Git LFS": []byte("version https://git-lfs.github.com/spec/v1\n"), "a web page": []byte("<!DOCTYPE html>"),
	} {
		path := put(t, "model.safetensors", data)
		_, err := Open(path, Options{})
		if err == nil || !strings.Contains(err.Error(), path+": is "+what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, data := range [][]byte{{}, []byte("GG"), at(127, "DICM"), []byte("no format")} {
		if _, err := Open(put(t, "model.safetensors", data), Options{}); err == nil || strings.Contains(err.Error(), ": is a") {
			t.Errorf("%q: %v", data, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestFileDigest: that of the bytes, and none of a file that was not read to its end.
func TestFileDigest(t *testing.T) {
	data := bytes.Repeat([]byte("numbers"), 100_000)
	path := put(t, "file", data)
	sum := sha256.Sum256(data)
	if got, err := FileDigest(t.Context(), path); err != nil || got != "sha256:"+hex.EncodeToString(sum[:]) {
		t.Errorf("%s, %v", got, err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if got, err := FileDigest(stopped, path); !errors.Is(err, context.Canceled) || got != "" {
		t.Errorf("interrupted: %q, %v", got, err)
	}
}

// TestVerify: whose signature is beside an adapter, and what follows from it.
func TestVerify(t *testing.T) {
	path := native(t)
	open := func() *Document {
		t.Helper()
		d, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	key, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	list := put(t, "trusted", []byte(key.Public("radiology").String()+"\n"))

	d := open()
	if err := d.Verify(path, ""); err != nil || d.SignatureNote != "" || d.Signatures != nil {
		t.Errorf("unsigned, and nobody asked: %+v, %v", d, err)
	}
	if err := d.Verify(path, list); err != nil || d.SignatureNote != "it is not signed" {
		t.Errorf("unsigned: %+v, %v", d, err)
	}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, k := range []*trust.SecretKey{key, other} {
		s, err := k.Sign(trust.Signature{Digest: d.Adapter.Digest, Name: "busi", Time: at, Comment: "validated"})
		if err != nil {
			t.Fatal(err)
		}
		text, err := trust.Added(path, s)
		if err != nil {
			t.Fatal(err)
		}
		if err := trust.WriteSignatures(path, text); err != nil {
			t.Fatal(err)
		}
	}
	d = open()
	if err := d.Verify(path, list); err != nil || len(d.Signatures) != 2 || d.SignatureNote != "" {
		t.Fatalf("%+v, %v", d, err)
	}
	want := Signature{Key: key.Public("").ID(), Signer: "radiology", As: "busi", Time: "2026-03-04T05:06:07Z", Comment: "validated"}
	if d.Signatures[0] != want {
		t.Errorf("%+v, want %+v", d.Signatures[0], want)
	}
	if s := d.Signatures[1]; s.Signer != "" || s.Reason == "" || s.Key != other.Public("").ID() {
		t.Errorf("a key that is not on the list: %+v", s)
	}
	// A signature of another digest says nothing of this adapter.
	d.Signatures, d.Adapter.Digest = nil, "sha256:"+strings.Repeat("0", 64)
	if err := d.Verify(path, list); err != nil || len(d.Signatures) != 2 || d.Signatures[0].Signer != "" || d.Signatures[0].Reason == "" {
		t.Errorf("of another adapter: %+v, %v", d.Signatures, err)
	}
	if err := open().Verify(path, put(t, "trusted", []byte("no key\n"))); err == nil {
		t.Error("a list that is none was taken")
	}
	if err := os.WriteFile(trust.FileOf(path), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if d = open(); d.Verify(path, list) != nil || !strings.Contains(d.SignatureNote, "cannot be read") {
		t.Errorf("a damaged signature file: %+v", d)
	}
	base := &Document{Base: &Base{}}
	if err := base.Verify(path, "nowhere"); err != nil || base.Signatures != nil {
		t.Errorf("a base: %+v, %v", base, err)
	}
}
