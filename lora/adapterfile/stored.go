package adapterfile

import (
	"bytes"

	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
)

// Stored returns f as it would be read back after Write with the same dtype, that is with rounded values. So
// the adapter that is evaluated is the one that is stored. It completes f.Meta as Write does.
func (f *File) Stored(dtype safetensors.DType) (*File, error) {
	types := Types{DType: dtype}
	if f.Meta.Method == lora.MeLo {
		types = Compact(dtype)
	}
	text, tensors, err := f.content(types)
	if err != nil {
		return nil, failed(f.Path, err)
	}
	var b bytes.Buffer
	if err := safetensors.Write(&b, tensors, map[string]string{metadataKey: text}); err != nil {
		return nil, failed(f.Path, err)
	}
	return Parse(b.Bytes(), f.Path)
}
