package main

import (
	"os"
	"slices"

	"github.com/alecthomas/kong"

	config "melo.example/melo/internal/settings"
)

// notSettings are flags that are valid only on the command line.
var notSettings = []string{"config", "print-config", "help"}

// settings supplies flags that the command line lacks: from the environment, else from the file.
type settings struct {
	environment, file map[string]string // by flag
	path              string
	flags             map[*kong.Flag]bool
}

// BeforeResolve registers the environment and the settings file with kong.
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

// serveFlags returns the flags of the selected command.
func serveFlags(ctx *kong.Context) []*kong.Flag {
	if node := ctx.Selected(); node != nil {
		return node.Flags
	}
	return nil
}

// Validate implements kong.Resolver.
func (s *settings) Validate(*kong.Application) error { return nil }

// Resolve returns the value of a flag that is not on the command line.
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
		return config.SplitLines(v), nil
	}
	return v, nil
}

// resolved lists the effective settings of a parsed command line.
func resolved(ctx *kong.Context) []config.Setting {
	var list []config.Setting
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
		list = append(list, config.Setting{Name: flag.Name, Value: config.Shown(flag.Target, flag.Tag.Get("secret") != ""), Source: source})
	}
	return list
}
