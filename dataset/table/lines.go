package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// readLines reads JSON lines, one object each. Lists become values joined by "|".
func (t *Table) readLines(data []byte) error {
	var objects []map[string]json.RawMessage
	index := map[string]bool{}
	for number := 1; len(data) > 0; number++ {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		names, object, err := members(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		for _, name := range names {
			if !index[name] {
				index[name] = true
				t.Header = append(t.Header, name)
			}
		}
		objects, t.Lines = append(objects, object), append(t.Lines, number)
	}
	if len(objects)*len(t.Header) > MaxCells {
		return fmt.Errorf("more than %d cells", MaxCells)
	}
	for i, object := range objects {
		row := make([]string, len(t.Header))
		for c, name := range t.Header {
			text, err := cell(object[name])
			if err != nil {
				return fmt.Errorf("line %d: %q: %w", t.Lines[i], name, err)
			}
			row[c] = text
		}
		t.Rows = append(t.Rows, row)
	}
	return nil
}

// members reads an object and returns its names in file order.
func members(line []byte) ([]string, map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	open, err := d.Token()
	if err != nil {
		return nil, nil, err
	}
	if open != json.Delim('{') {
		return nil, nil, errors.New("expected an object")
	}
	var names []string
	object := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		key, _ := name.(string) // cannot fail: a key is a string
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, nil, err
		}
		names, object[key] = append(names, key), value
	}
	_, err = d.Token()
	return names, object, err
}

// cell converts a value to text.
func cell(raw json.RawMessage) (string, error) {
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0 || string(raw) == "null":
		return "", nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return strings.TrimSpace(s), err
	case raw[0] == '[':
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return "", err
		}
		parts := make([]string, len(items))
		for i, item := range items {
			part, err := cell(item)
			if err != nil {
				return "", err
			}
			parts[i] = part
		}
		if len(parts) == 0 {
			return "[]", nil // an empty list differs from a missing value
		}
		return strings.Join(parts, "|"), nil
	}
	return string(raw), nil // a number, true, false, or an object, unchanged
}
