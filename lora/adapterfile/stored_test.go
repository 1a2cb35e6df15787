package adapterfile

import (
	"path/filepath"
	"reflect"
	"testing"

	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
)

// TestStoredIsWhatIsRead: rounding first and writing then gives a file with the numbers of Stored, whatever the
// type; rounding twice changes nothing.
func TestStoredIsWhatIsRead(t *testing.T) {
	for _, dtype := range []safetensors.DType{safetensors.F32, safetensors.F16, safetensors.BF16} {
		for _, method := range []lora.Method{lora.MeLo, lora.LinearOnly} {
			f := example(t, tiny(), lora.Config{}, Labels("a", "b", "c"))
			f.Meta.Method = method
			if method != lora.MeLo {
				f.Adapter.Deltas = nil
			}
			stored, err := f.Stored(dtype)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "a.safetensors")
			if err := stored.Write(path, dtype); err != nil {
				t.Fatal(err)
			}
			read, err := Read(path)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(read.Adapter, stored.Adapter) {
				t.Errorf("%s, %s: what is read differs from Stored", method, dtype)
			}
		}
	}
}
