package adapterfile

import (
	"os"
	"path/filepath"
	"strings"

	"melo.example/melo/safetensors"
	"melo.example/melo/vit/checkpoint"
)

// Kind is what a path contains.
type Kind uint8

// The kinds that Sniff distinguishes.
const (
	Unknown     Kind = iota // a safetensors file of something else
	BaseWeights             // a base: folder, .safetensors file or index
	Native                  // a native adapter file
	LoRAViT                 // a LoRA-ViT file
	PEFT                    // a PEFT folder, or its adapter_model.safetensors
)

// String returns a name for messages.
func (k Kind) String() string {
	return [...]string{"a safetensors file of unknown content", "the weights of a base", "a native adapter",
		"a LoRA-ViT adapter", "a PEFT adapter"}[k]
}

// Names of the files in a PEFT folder.
const (
	peftConfig  = "adapter_config.json"
	peftWeights = "adapter_model.safetensors"
	peftTorch   = "adapter_model.bin"
)

// Sniff returns the kind of the file or folder at path, judging by names only; the content may still be
// invalid. It returns an error if there is nothing at path, or nothing that this program can read.
func Sniff(path string) (Kind, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Unknown, failed(path, err)
	}
	if info.IsDir() {
		if IsPEFT(path) {
			return PEFT, nil
		}
		if _, _, err := checkpoint.Weights(path); err != nil {
			if inner := folders(path); len(inner) > 0 {
				return Unknown, failf(path, "has %d adapters of PEFT in folders of their own: name one of %s", len(inner), someOf(inner))
			}
			return Unknown, failf(path, "no adapter (there is no %s), and no base: %w", peftConfig, err)
		}
		return BaseWeights, nil
	}
	switch {
	case filepath.Base(path) == peftConfig:
		return PEFT, nil
	case filepath.Base(path) == peftTorch:
		return PEFT, nil
	case strings.HasSuffix(path, ".index.json"), checkpoint.WeightsName(filepath.Base(path)) && filepath.Ext(path) != ".safetensors":
		return BaseWeights, nil
	}
	st, err := safetensors.ReadHeader(path, safetensors.Limits{})
	if err != nil {
		return Unknown, failed(path, err)
	}
	return sniffTensors(st), nil
}

// folders returns the PEFT folders in a folder.
func folders(dir string) (list []string) {
	found, err := InFolder(dir)
	if err != nil {
		return nil
	}
	for _, path := range found {
		if IsPEFT(path) {
			list = append(list, quote(path))
		}
	}
	return list
}

// sniffTensors determines the kind from the header of one file.
func sniffTensors(st *safetensors.File) Kind {
	names := st.Names()
	for _, name := range names {
		switch {
		case loravitKey(name):
			return LoRAViT
		case strings.Contains(name, ".lora_A") || strings.Contains(name, ".lora_B"):
			return PEFT
		}
	}
	if _, ok := st.Metadata()[metadataKey]; ok {
		return Native
	}
	if checkpoint.Looks(names) {
		return BaseWeights
	}
	return Unknown
}

// Identity reads an adapter in any format, and returns what identifies it: its digest.
func Identity(path string) (string, error) {
	kind, err := Sniff(path)
	if err != nil {
		return "", err
	}
	var f *File
	switch kind {
	case PEFT:
		f, err = ReadPEFT(path, Import{Look: true})
	case LoRAViT:
		f, err = ReadLoRAViT(path, LoRAViTOptions{Import: Import{Look: true}})
	default:
		f, err = Read(path)
	}
	if err != nil {
		return "", err
	}
	return f.Digest, nil
}
