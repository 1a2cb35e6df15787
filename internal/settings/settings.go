// Package settings reads the settings of a command from the environment and from a YAML file. A setting has the
// name of its flag, and its value is what would follow the flag. An unknown name is an error.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"melo.example/melo/internal/regular"
)

// Prefix is the prefix of settings in the environment.
const Prefix = "MELO_"

// maxFile limits the size of a settings file in bytes.
const maxFile = 1 << 20

// variable returns the name of a setting in the environment.
func variable(flag string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// kubelet matches the variables that Kubernetes sets in containers for a Service whose name begins with "melo".
var kubelet = regexp.MustCompile(`^MELO_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// Environment returns the settings among variables ("NAME=value"). A variable with the prefix that is neither a
// setting nor one of the others is an error.
func Environment(environ, names, others []string) (map[string]string, error) {
	known := map[string]string{}
	for _, n := range names {
		known[variable(n)] = n
	}
	found := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, Prefix) || name == Prefix+"CONFIG" || slices.Contains(others, name) {
			continue
		}
		flag, ok := known[name]
		if !ok && kubelet.MatchString(name) {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("serve: environment: %s is no setting%s", name, nearest(name, slices.Sorted(maps.Keys(known))))
		}
		found[flag] = value
	}
	return found, nil
}

// Read reads the settings file at path.
func Read(path string, names []string) (map[string]string, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, fmt.Errorf("serve: --config: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	var found map[string]string
	if err == nil {
		found, err = Parse(text, names)
	}
	if err != nil {
		return nil, fmt.Errorf("serve: %s: %w", path, err)
	}
	return found, nil
}

// Parse parses a YAML mapping of settings to scalars, lists of scalars, or mappings of scalars. Anything else
// is an error with its line: unknown names, duplicate names, aliases, several documents.
func Parse(text []byte, names []string) (map[string]string, error) {
	var root yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&root); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("expected lines of the form \"setting: value\"")
	}
	found := map[string]string{}
	pairs := root.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		key, node := pairs[i], pairs[i+1]
		name := key.Value
		if key.Kind != yaml.ScalarNode || !slices.Contains(names, name) {
			return nil, fmt.Errorf("line %d: %.60q is no setting%s", key.Line, name, nearest(name, names))
		}
		if _, twice := found[name]; twice {
			return nil, fmt.Errorf("line %d: %s stands twice", key.Line, name)
		}
		v, err := value(node)
		if name == PathList && node.Kind == yaml.SequenceNode {
			v, err = scalarLines(node)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", node.Line, name, err)
		}
		found[name] = v
	}
	return found, nil
}

// value converts a node to a flag's value.
func value(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return scalar(n)
	case yaml.SequenceNode:
		var parts []string
		for _, c := range n.Content {
			s, err := scalar(c)
			if err != nil {
				return "", err
			}
			parts = append(parts, escape(s, ","))
		}
		return strings.Join(parts, ","), nil
	case yaml.MappingNode:
		var parts []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, err := scalar(n.Content[i])
			if err != nil {
				return "", err
			}
			v, err := scalar(n.Content[i+1])
			if err != nil {
				return "", err
			}
			parts = append(parts, k+"="+escape(v, ";"))
		}
		return strings.Join(parts, ";"), nil
	}
	return "", errors.New("expected a value, a list, or a mapping")
}

// PathList is the setting whose list holds paths. They may contain commas, so they are separated by newlines.
const PathList = "base"

func scalarLines(n *yaml.Node) (string, error) {
	var parts []string
	for _, c := range n.Content {
		s, err := scalar(c)
		if err != nil {
			return "", err
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "\n"), nil
}

func scalar(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", errors.New("expected a value")
	}
	return n.Value, nil
}

// escape keeps kong from splitting a value.
func escape(s, separator string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), separator, `\`+separator)
}

// nearest returns the name most similar to an unknown one.
func nearest(name string, names []string) string {
	best, least := "", len(name)/3+2
	for _, n := range names {
		if d := distance(name, n); d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance returns the edit distance: the number of letters to change, insert or delete.
func distance(a, b string) int {
	if len(a) > 100 {
		a = a[:100]
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
