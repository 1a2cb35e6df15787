package adapterfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// decodeMetadata reads the JSON document strictly: it requires a known version, and accepts no unknown or
// repeated keys and no trailing data.
func decodeMetadata(text string) (Metadata, error) {
	var m Metadata
	if len(text) > maxMetadata {
		return m, fmt.Errorf("description of %d bytes, expected at most %d", len(text), maxMetadata)
	}
	if !utf8.ValidString(text) {
		return m, errors.New("description is not UTF-8")
	}
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal([]byte(text), &head); err != nil {
		return m, fmt.Errorf("description: %w", err)
	}
	if head.Format != FormatName {
		return m, fmt.Errorf("description has format %.40q, expected %q", head.Format, FormatName)
	}
	if head.Version != FormatVersion {
		return m, fmt.Errorf("format version %d, this program reads version %d", head.Version, FormatVersion)
	}
	if err := checkUnique([]byte(text)); err != nil {
		return m, fmt.Errorf("description: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		return m, fmt.Errorf("description: %w", err)
	}
	return m, nil
}

// encodeMetadata is the inverse of decodeMetadata. Equal documents give equal text.
func encodeMetadata(m *Metadata) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return "", fmt.Errorf("description: %w", err)
	}
	text := string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	if len(text) > maxMetadata {
		return "", fmt.Errorf("description of %d bytes, at most %d are allowed", len(text), maxMetadata)
	}
	return text, nil
}

// checkUnique returns an error for an object with duplicate keys, of which encoding/json would use the last,
// and for a document with too many parts.
func checkUnique(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	type level struct {
		keys  map[string]bool // nil in an array
		value bool            // the next token is the value of a key
	}
	var stack []level
	for tokens := 0; ; tokens++ {
		if tokens > maxTokens {
			return fmt.Errorf("more than %d keys and values", maxTokens)
		}
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		top := &level{}
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
		}
		if key, ok := t.(string); ok && top.keys != nil && !top.value {
			if top.keys[key] {
				return fmt.Errorf("key %.80q stands twice", key)
			}
			top.keys[key], top.value = true, true
			continue
		}
		top.value = false
		switch t {
		case json.Delim('{'):
			stack = append(stack, level{keys: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, level{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
	}
}
