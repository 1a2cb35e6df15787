package train

import (
	"bytes"
	"encoding/json"
)

// Settings returns v, a struct of settings, as the JSON object that an [Identity] holds.
func Settings(v any) (out map[string]any, err error) {
	text, err := json.Marshal(v)
	if err == nil {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		err = dec.Decode(&out)
	}
	return out, err
}
