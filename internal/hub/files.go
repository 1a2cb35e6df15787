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

// The files of a base: descriptions, and weights in the order of preference of vit/checkpoint.
var (
	descriptions = []string{"config.json", "preprocessor_config.json", "processor_config.json", "open_clip_config.json"}
	weights      = []string{"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
		"open_clip_model.safetensors", "open_clip_pytorch_model.bin"}
	endings    = []string{".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".npz"}
	notWeights = []string{"training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "adapter_model.safetensors", "adapter_model.bin"}
)

func isIndex(name string) bool { return strings.HasSuffix(name, ".index.json") }

// model is the hub's description of a model at a revision.
type model struct {
	Commit string `json:"sha"`
	Files  []struct {
		Name string `json:"rfilename"`
	} `json:"siblings"`
}

// wanted lists the files of a base that the repository has, and that are needed. An index comes before its
// shards.
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

// chooseWeights selects the weight file from those of a repository or a snapshot.
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

// maxIndex limits the size of an index in bytes.
const maxIndex = 16 << 20

// shardsOf returns the files that an index lists.
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

// plainName reports whether a name from outside is a file name without a path.
func plainName(name string) bool {
	return name != "" && len(name) < 256 && filepath.IsLocal(name) && !strings.ContainsAny(name, `/\:`) && name[0] != '.'
}

// localFiles lists the files that a snapshot must have.
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

// remember records the commit of a branch or tag.
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

// link creates the file of a snapshot from a blob: a relative symbolic link, or a hard link if the system has
// no symbolic links.
func link(blob, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(path), blob)
	if err != nil {
		return err
	}
	// a link to a blob that no longer exists
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Symlink(target, path) == nil {
		return nil
	}
	return os.Link(blob, path)
}
