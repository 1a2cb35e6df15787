package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/internal/regular"
	"melo.example/melo/safetensors"
	"melo.example/melo/torchfile"
)

// The names that libraries give the weights in a folder, in order of preference.
const (
	weightsName      = "model.safetensors"
	torchName        = "pytorch_model.bin"
	torchIndexName   = "pytorch_model.bin.index.json"
	openCLIPSafeName = "open_clip_model.safetensors"
	openCLIPName     = "open_clip_pytorch_model.bin"
)

var usualNames = []string{weightsName, safetensors.IndexName, torchName, torchIndexName, openCLIPSafeName, openCLIPName}

// notWeights lists files with an ending of weights that hold something else.
var notWeights = []string{"training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth",
	"adapter_model.safetensors", "adapter_model.bin", "flax_model.msgpack", "tf_model.h5"}

// endings lists the file name endings of weights.
var endings = []string{".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".npz"}

// WeightsName reports whether a file of that name may hold the weights of a base.
func WeightsName(name string) bool {
	return slices.Contains(endings, strings.ToLower(filepath.Ext(name))) && !slices.Contains(notWeights, name)
}

// Weights finds the file with the weights of the base at path: a folder, a file, or an index of shards. For an
// index it also returns the names of the shards.
func Weights(path string) (file string, shards []string, err error) {
	src, err := locate(path)
	if err != nil {
		return "", nil, err
	}
	if src.sharded {
		shards, err = safetensors.Shards(src.weights)
	}
	return src.weights, shards, err
}

// Tensors opens the weights of the base at path under the names in the file, in any supported format.
func Tensors(path string) (*safetensors.File, error) {
	src, err := locate(path)
	if err != nil {
		return nil, fmt.Errorf("vit: %s: %w", path, err)
	}
	f, _, err := src.openTensors()
	if err != nil {
		return nil, fmt.Errorf("vit: %w", err)
	}
	return f, nil
}

// Plain reports whether the base at path is stored as safetensors with a configuration, so that copying it
// gains nothing.
func Plain(path string) bool {
	src, err := locate(path)
	return err == nil && src.files.Config != nil && (src.sharded || strings.HasSuffix(src.weights, ".safetensors"))
}

// Looks reports whether tensors with these names may be a base.
func Looks(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return strings.Contains(name, "patch_embed") || // names of timm, Hugging Face and CLIP have this in common
			slices.ContainsFunc(layouts, func(l *layout) bool { return strings.Contains(name, l.marker) })
	})
}

// find looks for the weights in the folder: under a usual name, or in the only file that may hold any.
func (s *source) find() error {
	for _, name := range usualNames {
		s.weights, s.sharded = filepath.Join(s.dir, name), strings.HasSuffix(name, ".index.json")
		if _, err := os.Stat(s.weights); err == nil {
			return nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return cause(err)
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return cause(err)
	}
	var found []string
	for _, e := range entries {
		if !e.IsDir() && WeightsName(e.Name()) {
			found = append(found, e.Name())
		}
	}
	switch len(found) {
	case 1:
		s.weights, s.sharded = filepath.Join(s.dir, found[0]), false
		return nil
	case 0:
		return fmt.Errorf("folder has neither %s nor %s, and no other file with weights", weightsName, safetensors.IndexName)
	}
	return fmt.Errorf("folder has several files that may hold the weights (%s): name one of them", list(found))
}

// openTensors opens the weights file in whatever format it has.
func (s *source) openTensors() (f *safetensors.File, notes []string, err error) {
	if s.sharded {
		return s.openShards()
	}
	head, err := firstBytes(s.weights)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.weights, cause(err))
	}
	switch {
	case strings.EqualFold(filepath.Ext(s.weights), ".npz"):
		f, err = openGoogle(s.weights)
	// the first byte of a safetensors file can have any value
	case strings.EqualFold(filepath.Ext(s.weights), ".safetensors"):
		f, err = safetensors.Open(s.weights)
	case torchfile.Is(head) || slices.Contains(endings[1:], strings.ToLower(filepath.Ext(s.weights))):
		return torchfile.Open(s.weights)
	default:
		f, err = safetensors.Open(s.weights)
	}
	return f, nil, err
}

// openShards opens the shards of an index, as safetensors or as torch.save files.
func (s *source) openShards() (*safetensors.File, []string, error) {
	var notes []string
	f, err := safetensors.OpenShards(s.weights, func(path string) (*safetensors.File, error) {
		if strings.HasSuffix(path, ".safetensors") {
			return safetensors.Open(path)
		}
		f, more, err := torchfile.Open(path)
		notes = append(notes, more...)
		return f, err
	})
	return f, notes, err
}

// firstBytes reads the beginning of a file.
func firstBytes(path string) ([]byte, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 16)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return head[:n], nil
}
