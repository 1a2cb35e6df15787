package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/regular"
)

// The files of a base: descriptions, and weights in the order in which one is chosen, as vit/checkpoint has it.
var (
	descriptions = []string{"config.json", "preprocessor_config.json", "processor_config.json", "open_clip_config.json"}
	weights      = []string{"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
		"open_clip_model.safetensors", "open_clip_pytorch_model.bin"}
	endings    = []string{".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".npz"}
	notWeights = []string{"training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "adapter_model.safetensors", "adapter_model.bin"}
)

func isIndex(name string) bool { return strings.HasSuffix(name, ".index.json") }

// model is what the hub says about a model at a revision.
type model struct {
	Commit string `json:"sha"`
	Files  []struct {
		Name string `json:"rfilename"`
	} `json:"siblings"`
}

// wanted lists the files of a base, an index before the shards that it names: what the repository has, and only what
// is needed.
func (m *model) wanted(r Ref) ([]string, error) {
	var all []string
	for _, f := range m.Files {
		all = append(all, f.Name)
	}
	file, err := chooseWeights(all)
	if err != nil {
		return nil, fmt.Errorf("hub: %v %w", r, err)
	}
	var names []string
	for _, name := range descriptions {
		if slices.Contains(all, name) {
			names = append(names, name)
		}
	}
	return append(names, file), nil
}

// chooseWeights picks the file with the weights out of a repository's or a snapshot's.
func chooseWeights(all []string) (string, error) {
	for _, name := range weights {
		if slices.Contains(all, name) {
			return name, nil
		}
	}
	var found []string
	for _, name := range all {
		if plainName(name) && slices.Contains(endings, strings.ToLower(filepath.Ext(name))) && !slices.Contains(notWeights, name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("has neither %s nor another file with weights at its top", strings.Join(weights[:3], ", "))
	}
	return "", fmt.Errorf("has several files that may hold the weights (%s): download the right one by hand, into a folder with %s",
		strings.Join(found[:min(len(found), 8)], ", "), descriptions[0])
}

// maxIndex bounds the index that is read.
const maxIndex = 16 << 20

// shardsOf returns the files that an index names.
func shardsOf(path string) ([]string, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.NewDecoder(io.LimitReader(f, maxIndex)).Decode(&index); err != nil {
		return nil, err
	}
	var names []string
	for _, name := range index.WeightMap {
		if !plainName(name) || !strings.HasSuffix(name, ".safetensors") && !strings.HasSuffix(name, ".bin") {
			return nil, fmt.Errorf("shard %.100q: expected the plain name of a .safetensors or .bin file", name)
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, errors.New("names no shards")
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// plainName says that a name from outside stays in the folder that it is put into.
func plainName(name string) bool {
	return name != "" && len(name) < 256 && filepath.IsLocal(name) && !strings.ContainsAny(name, `/\:`) && name[0] != '.'
}

// localFiles lists what a snapshot must have.
func localFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	name, err := chooseWeights(all)
	if err != nil || !isIndex(name) {
		return []string{name}, err
	}
	return shardsOf(filepath.Join(dir, name))
}

// remember writes which commit a branch or tag is.
func (c *Client) remember(r Ref, commit string) error {
	if r.Revision == commit {
		return nil
	}
	path := filepath.Join(c.folder(r), "refs", filepath.FromSlash(r.Revision))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	return atomicfile.Write(path, 0o666, func(w io.Writer) error {
		_, err := io.WriteString(w, commit)
		return err
	})
}

// link makes the file of a snapshot from a blob: a relative symbolic link or, where the system has none, another name
// of the same file.
func link(blob, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(path), blob)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // a link to a blob that is gone
		return err
	}
	if os.Symlink(target, path) == nil {
		return nil
	}
	return os.Link(blob, path)
}
