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

// The files of a base.
const (
	weightsName   = "model.safetensors"
	indexName     = "model.safetensors.index.json"
	configName    = "config.json"
	processorName = "preprocessor_config.json"
)

// model is what the hub says about a model at a revision.
type model struct {
	Commit string `json:"sha"`
	Files  []struct {
		Name string `json:"rfilename"`
	} `json:"siblings"`
}

// wanted lists the files of a base, an index before the shards that it names.
func (m *model) wanted(r Ref) ([]string, error) {
	has := func(name string) bool {
		return slices.ContainsFunc(m.Files, func(f struct {
			Name string `json:"rfilename"`
		}) bool {
			return f.Name == name
		})
	}
	var names []string
	for _, name := range []string{configName, processorName} {
		if has(name) {
			names = append(names, name)
		}
	}
	switch {
	case has(weightsName):
		return append(names, weightsName), nil
	case has(indexName):
		return append(names, indexName), nil
	}
	hint := ""
	if has("pytorch_model.bin") {
		hint = "; it has pytorch_model.bin, which is not read: it may run code of its own"
	}
	return nil, fmt.Errorf("hub: %v has neither %s nor %s%s", r, weightsName, indexName, hint)
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
		if !plainName(name) || !strings.HasSuffix(name, ".safetensors") {
			return nil, fmt.Errorf("shard %.100q: expected the plain name of a .safetensors file", name)
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
	if _, err := os.Stat(filepath.Join(dir, weightsName)); err == nil {
		return []string{weightsName}, nil
	}
	return shardsOf(filepath.Join(dir, indexName))
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
