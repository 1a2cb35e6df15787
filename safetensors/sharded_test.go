package safetensors

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shards writes two shards (a and b; c) and the index given.
func shards(t *testing.T, index string) string {
	t.Helper()
	dir := t.TempDir()
	bytes := func(name string) TensorData {
		return TensorData{Name: name, DType: U8, Shape: []int{1}, Data: []byte(name)}
	}
	for file, tensors := range map[string][]TensorData{"1.safetensors": {bytes("a"), bytes("b")}, "2.safetensors": {bytes("c")}} {
		if err := WriteFile(filepath.Join(dir, file), 0o644, tensors, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, IndexName), []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const goodMap = `"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"2.safetensors"`

func TestSharded(t *testing.T) {
	dir := shards(t, `{"metadata":{"total_size":3,"x":[{}]},`+goodMap+`}}`)
	for _, path := range []string{dir, filepath.Join(dir, IndexName)} {
		f, err := OpenSharded(path)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(f.Names(), []string{"a", "b", "c"}) {
			t.Errorf("names %v", f.Names())
		}
		if c, _ := f.Tensor("c"); string(c.Data) != "c" || c.File != filepath.Join(dir, "2.safetensors") {
			t.Errorf("tensor %+v", c)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestShardedRefused(t *testing.T) {
	for _, c := range []struct{ name, index, want string }{
		{"no index text", ``, "JSON"},
		{"not an object", `[]`, "expected '{'"},
		{"no weight_map", `{}`, "no weight_map"},
		{"empty weight_map", `{"weight_map":{}}`, "no weight_map"},
		{"two weight_maps", `{` + goodMap + `},` + goodMap + `}}`, "appears twice"},
		{"duplicate tensor", `{"weight_map":{"a":"1.safetensors","a":"1.safetensors"}}`, `"a" appears twice`},
		{"value", `{"weight_map":{"a":1}}`, "expected a string"},
		{"bad skipped value", `{"metadata":{,` + goodMap + `}}`, "JSON"},
		{"trailing", `{` + goodMap + `}}x`, "after the JSON"},
		{"not UTF-8", "{\"\xff\":1}", "UTF-8"},
		{"shard missing", `{` + goodMap + `,"d":"3.safetensors"}}`, "3.safetensors"},
		{"tensor missing", `{` + goodMap + `,"d":"2.safetensors"}}`, `2.safetensors: tensor "d" is listed in the index but missing`},
		{"tensor not listed", `{"weight_map":{"a":"1.safetensors","c":"2.safetensors"}}`, `tensor "b" is not in the index`},
		{"wrong shard", `{"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"1.safetensors","d":"2.safetensors"}}`, `places it in "1.safetensors"`},
		{"parent folder", `{"weight_map":{"a":"../1.safetensors"}}`, "beside the index"},
		{"absolute", `{"weight_map":{"a":"/etc/1.safetensors"}}`, "beside the index"},
		{"sub-folder", `{"weight_map":{"a":"x/1.safetensors"}}`, "beside the index"},
		{"backslash", `{"weight_map":{"a":"..\\1.safetensors"}}`, "beside the index"},
		{"drive", `{"weight_map":{"a":"c:1.safetensors"}}`, "beside the index"},
		{"other file", `{"weight_map":{"a":"passwd"}}`, "beside the index"},
		{"empty name", `{"weight_map":{"a":""}}`, "beside the index"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := shards(t, c.index)
			_, err := OpenSharded(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v should name the file and say %q", err, c.want)
			}
		})
	}
	if _, err := OpenSharded(t.TempDir()); err == nil {
		t.Error("a folder without index accepted")
	}
}
