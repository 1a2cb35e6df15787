package main

import (
	"encoding"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	config "melo.example/melo/internal/settings"
)

// notSettings are flags that only a command line can have.
var notSettings = []string{"config", "print-config", "help"}

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
	if s.environment, err = config.Environment(os.Environ(), names, []string{tokenVariable}); err != nil {
		return usage(err)
	}
	if path == "" {
		path = os.Getenv(config.Prefix + "CONFIG")
	}
	if s.path = path; path != "" {
		if s.file, err = config.Read(path, names); err != nil {
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
	case flag.Name == config.PathList:
		return splitLines(v), nil
	}
	return v, nil
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
