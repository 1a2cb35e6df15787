package main

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"melo.example/melo/internal/regular"
)

// envPrefix is that of settings in the environment.
const envPrefix = "MELO_"

// envOthers are variables with this prefix that are no settings of the server.
var envOthers = []string{tokenVariable}

// notSettings are flags that only a command line can have.
var notSettings = []string{"config", "print-config", "help"}

// maxConfig bounds a file of settings.
const maxConfig = 1 << 20

// settings resolves flags that the command line does not have: the environment first, then the file.
type settings struct {
	environment, file map[string]string // by flag
	path              string
	flags             map[*kong.Flag]bool
}

// BeforeResolve makes kong ask the environment and the file.
func (o *serveOptions) BeforeResolve(ctx *kong.Context) error {
	s, path := &settings{flags: map[*kong.Flag]bool{}}, ""
	var names []string
	for _, flag := range serveFlags(ctx) {
		if flag.Name == "config" {
			path, _ = ctx.FlagValue(flag).(string)
		}
		if !slices.Contains(notSettings, flag.Name) {
			names, s.flags[flag] = append(names, flag.Name), true
		}
	}
	var err error
	if s.environment, err = readEnvironment(os.Environ(), names); err != nil {
		return usage(err)
	}
	if path == "" {
		path = os.Getenv(envPrefix + "CONFIG")
	}
	if s.path = path; path != "" {
		if s.file, err = readConfig(path, names); err != nil {
			return badInput(err)
		}
	}
	o.settings = s
	ctx.AddResolver(s)
	return nil
}

// serveFlags are the flags of the command that was chosen.
func serveFlags(ctx *kong.Context) []*kong.Flag {
	if node := ctx.Selected(); node != nil {
		return node.Flags
	}
	return nil
}

// Validate is part of kong.Resolver.
func (s *settings) Validate(*kong.Application) error { return nil }

// Resolve returns what a flag is where the command line does not say.
func (s *settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !s.flags[flag] {
		return nil, nil
	}
	v, ok := s.environment[flag.Name]
	if !ok {
		v, ok = s.file[flag.Name]
	}
	switch {
	case !ok:
		return nil, nil
	case flag.Name == basesFlag:
		return splitLines(v), nil
	}
	return v, nil
}

func variable(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// kubelet are the variables that Kubernetes gives every container about a Service whose name begins with "melo".
var kubelet = regexp.MustCompile(`^MELO_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// readEnvironment returns the settings among variables ("NAME=value"). One that has the prefix and is no setting is an
// error.
func readEnvironment(environ, names []string) (map[string]string, error) {
	known := map[string]string{}
	for _, n := range names {
		known[variable(n)] = n
	}
	found := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envPrefix+"CONFIG" || slices.Contains(envOthers, name) {
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

// readConfig reads the file of settings at path.
func readConfig(path string, names []string) (map[string]string, error) {
	f, err := regular.Open(path)
	if err != nil {
		return nil, fmt.Errorf("serve: --config: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(text) > maxConfig {
		err = fmt.Errorf("more than %d bytes", maxConfig)
	}
	var found map[string]string
	if err == nil {
		found, err = parseConfig(text, names)
	}
	if err != nil {
		return nil, fmt.Errorf("serve: %s: %w", path, err)
	}
	return found, nil
}

// parseConfig reads a YAML mapping of settings to single values, lists, and mappings of single values. Anything else
// is an error with its line: unknown names, names that stand twice, aliases, several documents.
func parseConfig(text []byte, names []string) (map[string]string, error) {
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
		key, value := pairs[i], pairs[i+1]
		name := key.Value
		if key.Kind != yaml.ScalarNode || !slices.Contains(names, name) {
			return nil, fmt.Errorf("line %d: %.60q is no setting%s", key.Line, name, nearest(name, names))
		}
		if _, twice := found[name]; twice {
			return nil, fmt.Errorf("line %d: %s stands twice", key.Line, name)
		}
		v, err := configValue(value)
		if name == basesFlag && value.Kind == yaml.SequenceNode {
			v, err = scalarLines(value)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", value.Line, name, err)
		}
		found[name] = v
	}
	return found, nil
}

// configValue writes a node as a flag's value.
func configValue(n *yaml.Node) (string, error) {
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

// basesFlag is the setting whose list has paths, which may have commas: one a line.
const basesFlag = "base"

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

// nearest suggests one of names for one that there is not.
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

// distance is the number of letters to change, put in or take out.
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

// setting is one line of --print-config.
type setting struct {
	Name   string `json:"name"`
	Value  any    `json:"value"`
	Source string `json:"source"` // flag, environment, file or default
}

// configDocument is the --json document of "melo serve --print-config".
type configDocument struct {
	Settings []setting `json:"settings"`
}

// resolved lists the settings of a command line that has been parsed.
func resolved(ctx *kong.Context) []setting {
	var list []setting
	sources := map[*kong.Flag]string{}
	var s *settings
	for _, p := range ctx.Path {
		if p.Flag != nil && !p.Resolved {
			sources[p.Flag] = "flag"
		}
	}
	if node := ctx.Selected(); node != nil {
		if o, ok := node.Target.Addr().Interface().(*serveOptions); ok {
			s = o.settings
		}
	}
	for _, flag := range serveFlags(ctx) {
		if slices.Contains(notSettings, flag.Name) {
			continue
		}
		source := sources[flag]
		if source == "" && s != nil {
			if _, ok := s.environment[flag.Name]; ok {
				source = "environment"
			} else if _, ok := s.file[flag.Name]; ok {
				source = "file"
			}
		}
		if source == "" {
			source = "default"
		}
		list = append(list, setting{flag.Name, shown(flag), source})
	}
	return list
}

// hidden stands for a secret.
const hidden = "(hidden)"

// shown is the value of a flag as it may be printed.
func shown(flag *kong.Flag) any {
	v := flag.Target.Interface()
	if flag.Tag.Get("secret") != "" && !flag.Target.IsZero() {
		if m, ok := v.(map[string]string); ok {
			m = maps.Clone(m)
			for k := range m {
				m[k] = hidden
			}
			return m
		}
		return hidden
	}
	if list, ok := v.(baseList); ok && len(list) < 2 {
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
	if flag.Target.Kind() == reflect.Slice && flag.Target.IsNil() {
		return []string{}
	}
	if flag.Target.Kind() == reflect.Map && flag.Target.IsNil() {
		return map[string]string{}
	}
	return v
}

// printConfig prints the settings as a file that --config takes.
func printConfig(s *stdio, list []setting) error {
	if s.json {
		return s.document(configDocument{list})
	}
	for _, x := range list {
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
		s.printf("%s", strings.TrimSuffix(string(line), "\n"))
	}
	return nil
}
