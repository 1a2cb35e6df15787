package settings

import (
	"encoding"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Setting is what a setting is, and where that comes from.
type Setting struct {
	Name   string `json:"name"`
	Value  any    `json:"value"`
	Source string `json:"source"` // flag, environment, file or default
}

// Document is the --json document of "melo serve --print-config".
type Document struct {
	Settings []Setting `json:"settings"`
}

// hidden stands for a secret.
const hidden = "(hidden)"

// Shown is the value of a setting as it may be printed: a secret is hidden, a list has its elements, and what can be written as text
// is. A list of bases that has one is that one.
func Shown(target reflect.Value, secret bool) any {
	v := target.Interface()
	if secret && !target.IsZero() {
		if m, ok := v.(map[string]string); ok {
			m = maps.Clone(m)
			for k := range m {
				m[k] = hidden
			}
			return m
		}
		return hidden
	}
	if list, ok := v.(Lines); ok && len(list) < 2 {
		return strings.Join(list, "")
	}
	if t, ok := v.(encoding.TextMarshaler); ok {
		if text, err := t.MarshalText(); err == nil {
			return string(text)
		}
	}
	if t, ok := v.(fmt.Stringer); ok {
		return t.String()
	}
	if target.Kind() == reflect.Slice && target.IsNil() {
		return []string{}
	}
	if target.Kind() == reflect.Map && target.IsNil() {
		return map[string]string{}
	}
	return v
}

// WriteYAML writes the settings as a file that [Read] reads, with their sources as comments.
func (d *Document) WriteYAML(w io.Writer) error {
	for _, x := range d.Settings {
		value := &yaml.Node{}
		if err := value.Encode(x.Value); err != nil {
			return fmt.Errorf("serve: %s: %w", x.Name, err)
		}
		value.Style = yaml.FlowStyle
		if value.Kind == yaml.ScalarNode {
			value.Style = 0
			if text, ok := x.Value.(string); ok && text == "" {
				value.Style = yaml.DoubleQuotedStyle
			}
		}
		value.LineComment = x.Source
		line, err := yaml.Marshal(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: x.Name}, value}})
		if err != nil {
			return fmt.Errorf("serve: %s: %w", x.Name, err)
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}
