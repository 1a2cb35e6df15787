package safetensors

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// IndexName is the usual name of the index of a sharded model.
const IndexName = "model.safetensors.index.json"

// OpenSharded opens a model that is split over several files. path is the index file, or the folder that
// contains it as IndexName. The shards lie beside the index. Their tensors must be exactly those that the index
// lists.
func OpenSharded(path string) (*File, error) { return OpenShards(path, Open) }

// OpenShards is OpenSharded with a function that opens a shard, which may have another format.
func OpenShards(path string, open func(path string) (*File, error)) (*File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, IndexName)
	}
	weights, err := readIndex(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, reason(err))
	}
	all := &File{path: path, tensors: make(map[string]Tensor, len(weights))}
	if err := all.addShards(weights, open); err != nil {
		return nil, errors.Join(err, all.Close())
	}
	return all, nil
}

// Shards returns the sorted names of the files that an index lists.
func Shards(index string) ([]string, error) {
	weights, err := readIndex(index)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", index, reason(err))
	}
	return slices.Compact(slices.Sorted(maps.Values(weights))), nil
}

// readIndex returns the index's weight_map: tensor name to file name.
func readIndex(path string) (map[string]string, error) {
	file, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > MaxHeader {
		return nil, fmt.Errorf("index of %d bytes, expected at most %d", size, MaxHeader)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(file, text); err != nil {
		return nil, err
	}
	return parseIndex(text)
}

func parseIndex(text []byte) (map[string]string, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("index is not UTF-8")
	}
	var weights map[string]string
	r := newStrictJSON(text)
	err := r.object(func(key string) (err error) {
		if key != "weight_map" { // "metadata" holds sizes, which differ between writers
			return r.skip()
		}
		if weights, err = r.stringMap(); err != nil {
			return fmt.Errorf("weight_map: %w", err)
		}
		return nil
	})
	if err == nil {
		err = r.end()
	}
	if err == nil && len(weights) == 0 {
		err = errors.New("index has no weight_map")
	}
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		if err := checkShardName(weights[name]); err != nil {
			return nil, fmt.Errorf("tensor %s: %w", quote(name), err)
		}
	}
	return weights, nil
}

// skip skips one value of any kind.
func (r *strictJSON) skip() error {
	var value skipped
	if err := r.dec.Decode(&value); err != nil {
		return fmt.Errorf("JSON at byte %d: %w", r.dec.InputOffset(), err)
	}
	return nil
}

// skipped accepts any JSON value and ignores it.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

// checkShardName accepts only file names in the index's own folder.
func checkShardName(name string) error {
	if name != filepath.Base(name) || strings.ContainsAny(name, `/\:`) || !filepath.IsLocal(name) ||
		!strings.HasSuffix(name, ".safetensors") && !strings.HasSuffix(name, ".bin") {
		return fmt.Errorf("shard %s, expected the name of a .safetensors or .bin file beside the index", quote(name))
	}
	return nil
}

// addShards opens every shard and merges its tensors into f.
func (f *File) addShards(weights map[string]string, open func(path string) (*File, error)) error {
	shards := slices.Compact(slices.Sorted(maps.Values(weights)))
	dir := filepath.Dir(f.path)
	for _, name := range shards {
		shard, err := open(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		f.release = append(f.release, shard.Close)
		for key, t := range shard.tensors {
			if owner, ok := weights[key]; !ok {
				return fmt.Errorf("safetensors: %s: tensor %s is not in the index %s", shard.path, quote(key), f.path)
			} else if owner != name {
				return fmt.Errorf("safetensors: %s: tensor %s, but the index places it in %s", shard.path, quote(key), quote(owner))
			}
			f.tensors[key] = t
		}
	}
	for _, key := range slices.Sorted(maps.Keys(weights)) {
		if _, ok := f.tensors[key]; !ok {
			return fmt.Errorf("safetensors: %s: tensor %s is listed in the index but missing", filepath.Join(dir, weights[key]), quote(key))
		}
	}
	return nil
}
