package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"melo.example/melo/bases"
	"melo.example/melo/internal/hub"
	"melo.example/melo/internal/regular"
	"melo.example/melo/internal/text"
	"melo.example/melo/internal/ui"
)

// Environment variables of huggingface_hub, which set the location of models and the account
// (https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables).
const (
	envEndpoint = "HF_ENDPOINT"
	envHome     = "HF_HOME"
	envCache    = "HF_HUB_CACHE"
	envToken    = "HF_TOKEN"
	envTokenAt  = "HF_TOKEN_PATH"
	envOffline  = "HF_HUB_OFFLINE"
	envXDGCache = "XDG_CACHE_HOME"
)

// hubHome returns the folder in which huggingface_hub stores its files.
func hubHome() string {
	if home := os.Getenv(envHome); home != "" {
		return home
	}
	cache := os.Getenv(envXDGCache)
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		cache = filepath.Join(home, ".cache")
	}
	return filepath.Join(cache, "huggingface")
}

// hubCache returns the folder of downloaded models.
func hubCache() string { return cmp.Or(os.Getenv(envCache), filepath.Join(hubHome(), "hub")) }

// hubToken returns the access token of the account, or an empty string.
func hubToken() string {
	if token := os.Getenv(envToken); token != "" {
		return token
	}
	text, err := regular.ReadFile(cmp.Or(os.Getenv(envTokenAt), filepath.Join(hubHome(), "token")), 1<<16)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// isSet reports whether a boolean environment variable is true.
func isSet(name string) bool {
	switch strings.ToLower(os.Getenv(name)) {
	case "1", "on", "yes", "true":
		return true
	}
	return false
}

// hubName returns an error for a path that does not exist but looks like the name of a model on a hub. The
// error suggests the name with its prefix.
func hubName(name string) error {
	if _, err := os.Stat(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := hub.ParseRef(hub.Prefix + name); err != nil || strings.Count(name, "/") != 1 || strings.HasPrefix(name, ".") {
		return nil
	}
	return badInput(fmt.Errorf("%s: no such file or folder; a model of a hub is named with its prefix: %s%s", name, hub.Prefix, name))
}

// fetchBase downloads a base given as hf:owner/name unless it is in the cache. It ignores other names.
func fetchBase(ctx context.Context, s *stdio, name string) error {
	if !strings.HasPrefix(name, hub.Prefix) {
		return hubName(name)
	}
	ref, err := hub.ParseRef(name)
	if err != nil {
		return usage(fmt.Errorf("--base: %w", err))
	}
	progress := s.progress()
	defer progress.Close()
	meters := map[string]*ui.Meter{}
	client := &hub.Client{Endpoint: strings.TrimSuffix(cmp.Or(os.Getenv(envEndpoint), hub.DefaultEndpoint), "/"), Cache: bases.HubCache,
		Token: hubToken(), Offline: isSet(envOffline), Note: func(text string) { progress.Printf("melo: %s", text) }}
	client.Progress = func(file string, done, total int64) {
		m := meters[file]
		if m == nil {
			m = progress.Start("downloading "+file, done, total)
			meters[file] = m
		}
		m.Set(done, text.Bytes(done)+" of "+text.Bytes(total))
		if done == total {
			m.Finish()
			progress.Printf("downloaded %s of %v, %s", file, ref, text.Bytes(total))
		}
	}
	_, err = client.Fetch(ctx, ref)
	if client.Offline && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (%s is set)", err, envOffline)
	}
	if hub.Unreachable(err) {
		return fmt.Errorf("%s cannot be reached: %w: see to the network or %s; a folder with the model's files can be given instead", client.Endpoint, err, envEndpoint)
	}
	return err
}
