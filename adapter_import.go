package melo

import (
	"errors"
	"fmt"
	"os"

	"melo.example/melo/bases"
	"melo.example/melo/internal/hub"
	"melo.example/melo/lora/adapterfile"
)

// maxForeign is the maximum size in bytes of an adapter file of other software, far above any published one.
const maxForeign = 4 << 30

// openForeign opens an adapter of PEFT or LoRA-ViT together with its base: the one at basePath or the one that
// PEFT names.
func openForeign(path, basePath string, s settings) (*Base, *Adapter, error) {
	if basePath == "" {
		var err error
		if basePath, err = foreignBase(path); err != nil {
			return nil, nil, err
		}
	}
	b, err := openBase(basePath, s, false)
	if err != nil {
		return nil, nil, err
	}
	f, err := adapterfile.ReadForeign(path, b.model, maxForeign)
	if err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	a, err := b.attach(f, "")
	if err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	return b, a, nil
}

// foreignBase finds the base that a PEFT folder names: an existing folder, or a model in the hub's download
// cache.
func foreignBase(path string) (string, error) {
	if kind, err := adapterfile.Sniff(path); err != nil || kind != adapterfile.PEFT {
		return "", errors.Join(err, fmt.Errorf("melo: %s: does not say which base it belongs to: name the base", path))
	}
	name, err := adapterfile.PEFTBase(path)
	if err != nil {
		return "", err
	}
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
