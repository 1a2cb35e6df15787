package melo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"melo.example/melo/bases"
	"melo.example/melo/internal/hub"
	"melo.example/melo/internal/regular"
	"melo.example/melo/lora/adapterfile"
)

// foreign tells whether a path holds an adapter of PEFT or LoRA-ViT, which can be used as it is where nothing is missing.
func foreign(path string) (adapterfile.Kind, bool) {
	kind, err := adapterfile.Sniff(path)
	return kind, err == nil && (kind == adapterfile.PEFT || kind == adapterfile.LoRAViT)
}

// importFile reads an adapter of PEFT or LoRA-ViT for this base: its head, or the base's own where it has none; the names
// of the base's labels where they are as many as its classes; and the base's preprocessing.
func (b *Base) importFile(path string, kind adapterfile.Kind) (*adapterfile.File, error) {
	m := b.model
	imports := adapterfile.Import{Base: &m.Config, Head: m.Head}
	read := func() (*adapterfile.File, error) {
		if kind == adapterfile.PEFT {
			return adapterfile.ReadPEFT(path, imports)
		}
		return adapterfile.ReadLoRAViT(path, adapterfile.LoRAViTOptions{Import: imports})
	}
	f, err := read()
	if untold := (*adapterfile.UntoldError)(nil); errors.As(err, &untold) {
		return nil, fmt.Errorf("%w; melo convert with --%s makes an adapter that tells it", err, untold.What)
	}
	if err != nil {
		return nil, err
	}
	if h := f.Adapter.Head; h != nil && len(m.Labels) == h.Classes {
		imports.Labels = adapterfile.Labels(m.Labels...)
		if f, err = read(); err != nil {
			return nil, err
		}
	}
	if f.Adapter.Head == nil && m.Head != nil && m.HeadDist == nil {
		if err := f.TakeHead(m.Head, m.Labels); err != nil {
			return nil, err
		}
	}
	if f.Adapter.Head == nil {
		return nil, fmt.Errorf("melo: %s: neither the adapter nor the base has a head, so it cannot predict", path)
	}
	f.Meta.Recipe = m.Recipe
	f.Digest, err = foreignDigest(path)
	return f, err
}

// foreignDigest is the identity of an adapter of other software: that of its file of tensors.
func foreignDigest(path string) (string, error) {
	for _, name := range []string{"adapter_model.safetensors", "adapter_model.bin"} {
		if inner := filepath.Join(path, name); isFile(inner) {
			path = inner
			break
		}
	}
	if strings.HasSuffix(path, ".json") {
		return foreignDigest(filepath.Dir(path))
	}
	const most = 4 << 30 // far more than the readers take
	data, err := regular.ReadFile(path, most)
	if err != nil {
		return "", fmt.Errorf("melo: %w", err)
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// openForeign opens the base of an adapter of other software, the one at basePath or the one that PEFT names, and puts the
// adapter on it.
func openForeign(path, basePath string, kind adapterfile.Kind, s settings) (*Base, *Adapter, error) {
	if basePath == "" {
		var err error
		if basePath, err = foreignBase(path, kind); err != nil {
			return nil, nil, err
		}
	}
	b, err := openBase(basePath, s, false)
	if err != nil {
		return nil, nil, err
	}
	f, err := b.importFile(path, kind)
	if err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	a, err := b.attach(f, "")
	if err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	return b, a, nil
}

// foreignBase finds the base that a PEFT folder names: a folder that is there, or a model of a hub that was downloaded.
func foreignBase(path string, kind adapterfile.Kind) (string, error) {
	if kind != adapterfile.PEFT {
		return "", fmt.Errorf("melo: %s: does not say which base it belongs to: name the base", path)
	}
	f, err := adapterfile.ReadPEFT(path, adapterfile.Import{})
	if err != nil {
		return "", err
	}
	name := f.Meta.Base.ID
	if name != "" {
		if _, err := os.Stat(name); err == nil {
			return name, nil
		}
		if _, err := bases.Path(hub.Prefix + name); err == nil {
			return hub.Prefix + name, nil
		}
	}
	return "", fmt.Errorf("melo: %s: its base %q is not here: name the base", path, name)
}
