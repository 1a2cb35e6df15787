package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/bases"
	"melo.example/melo/inspect"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

func TestSignOptions(t *testing.T) {
	for _, c := range []struct {
		o  signOptions
		ok bool
	}{
		{signOptions{NewKey: true, Key: "k"}, true},
		{signOptions{Public: true, Key: "k", Name: "radiology"}, true},
		{signOptions{Key: "k", Files: []string{"a"}, As: "busi", Comment: "x"}, true},
		{signOptions{Key: "k"}, false},
		{signOptions{NewKey: true, Public: true, Key: "k"}, false},
		{signOptions{NewKey: true, Key: "k", Files: []string{"a"}}, false},
		{signOptions{Key: "k", Files: []string{"a"}, Name: "radiology"}, false},
	} {
		if err := c.o.Validate(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}

// randomAdapter writes an adapter for the golden base.
func randomAdapter(t *testing.T, seed uint64) string {
	t.Helper()
	base := goldenDir("hf_vit")
	m, err := bases.Open(base, vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := adapterfile.BaseDigest(base)
	if err != nil {
		t.Fatal(err)
	}
	a, err := lora.New(&m.Config, lora.Config{Rank: 2}, 2, seed)
	if err != nil {
		t.Fatal(err)
	}
	f := adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{Base: adapterfile.NewBase(&m.Config, "test", base, digest), Method: lora.MeLo,
		Task: adapterfile.Binary, Labels: adapterfile.Labels("benign", "malignant")}}
	path := filepath.Join(t.TempDir(), "busi.safetensors")
	if err := f.Write(path, safetensors.F32); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSignedAdapter goes the whole way: a key, a signature, who asks for it, and what is refused.
func TestSignedAdapter(t *testing.T) {
	t.Parallel()
	adapter, dir, image := randomAdapter(t, 1), t.TempDir(), pictures(t, 1)[0]
	path := func(name string) string { return filepath.Join(dir, name) }
	file := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path(name)
	}
	keys := file("trusted", melo(t, "sign", "--new-key", path("radiology.key")).want(t, exitDone).out)
	others := file("others", melo(t, "sign", "--new-key", path("x.key"), "--name", "other").want(t, exitDone).out)
	melo(t, "sign", "--new-key", path("x.key")).want(t, exitFailed)
	if public := melo(t, "sign", "--public", path("radiology.key")).want(t, exitDone).out; public != melo(t, "sign", "--public", path("radiology.key"), "--name", "radiology").out {
		t.Error("the public half is another")
	}
	predict := func(args ...string) result {
		return melo(t, append([]string{"predict", "--adapter", adapter, "--base", goldenDir("hf_vit"), image}, args...)...)
	}
	if r := predict("--trust", keys).want(t, exitBadInput); !strings.Contains(r.err, "not signed") {
		t.Error(r.err)
	}
	var signed signDocument
	melo(t, "sign", "--json", path("radiology.key"), adapter, "--as", "busi").want(t, exitDone).decode(t, &signed)
	digest := signed.Signed[0].Digest
	predict("--trust", keys).want(t, exitDone)
	predict("--trust", keys, "--allow", file("allowed", digest+"  other.safetensors")).want(t, exitDone)
	if r := predict("--trust", others).want(t, exitBadInput); !strings.Contains(r.err, "not trusted") || !strings.Contains(r.err, adapter) {
		t.Error(r.err)
	}
	predict("--allow", file("empty", "")).want(t, exitBadInput)
	predict("--trust", file("broken", "x")).want(t, exitBadInput)
	if r := melo(t, "predict", "--adapters", filepath.Dir(adapter), "--base", goldenDir("hf_vit"), "--trust", others, image).want(t, exitBadInput); !strings.Contains(r.err, "not trusted") {
		t.Error(r.err)
	}
	if r := melo(t, "eval", "--adapter", adapter, "--data", dir, "--trust", others).want(t, exitBadInput); !strings.Contains(r.err, "not trusted") {
		t.Error(r.err)
	}
	var doc inspect.Document
	melo(t, "inspect", "--json", adapter, "--trust", keys).want(t, exitDone).decode(t, &doc)
	if len(doc.Signatures) != 1 || doc.Signatures[0].Signer != "radiology" || doc.Signatures[0].As != "busi" {
		t.Errorf("%+v", doc.Signatures)
	}
	if r := melo(t, "inspect", adapter, "--trust", others).want(t, exitDone); !strings.Contains(r.out, "not verified") {
		t.Error(r.out)
	}
	if r := predict("--trust", file("revoked", melo(t, "sign", "--public", path("radiology.key")).out+"revoke "+digest)).want(t, exitBadInput); !strings.Contains(r.err, "revoked") {
		t.Error(r.err)
	}
}
