package repo

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	quoted = regexp.MustCompile("`([^`\n]+)`")
	fenced = regexp.MustCompile("(?ms)^```.*?^```")
	// pathLike is a name with a slash in it and nothing of a command, a pattern or an address.
	pathLike = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+/?$`)
)

// documents returns the Markdown files of the tree, relative to the root.
func documents(t *testing.T, top string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != top && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if filepath.Ext(p) == ".md" {
			all = append(all, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Documents are read by people who then look for what they name.
func TestDocumentsNamePathsThatExist(t *testing.T) {
	top := root(t)
	for _, doc := range documents(t, top) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(top, doc)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if !exists(filepath.Join(filepath.Dir(doc), target)) {
				t.Errorf("%s links to %s, which does not exist", rel, m[1])
			}
		}
		for _, m := range quoted.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
			name := m[1]
			// Only names that begin with a folder of the tree claim to be a path of it.
			first, _, _ := strings.Cut(name, "/")
			// Hidden ones are made by what the document describes.
			if !pathLike.MatchString(name) || first == ".." || strings.Contains(name, "/.") || !exists(filepath.Join(top, first)) {
				continue
			}
			if !exists(filepath.Join(top, name)) && !exists(filepath.Join(filepath.Dir(doc), name)) {
				t.Errorf("%s names %s, which does not exist", rel, name)
			}
		}
	}
}

// The drawing of the layers is where a newcomer looks for a package.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, layers, _ := strings.Cut(string(text), "## Layers")
	layers, _, _ = strings.Cut(layers, "\n## ")
	words := map[string]bool{}
	for _, w := range strings.FieldsFunc(layers, func(r rune) bool { return strings.ContainsRune(" \n,;:", r) }) {
		words[w] = true
	}
	seen := map[string]bool{".": true}
	for _, s := range sources(t) {
		p := s.pkg()
		_, below, private := strings.Cut(p, "/internal/")
		if seen[p] || private && below != "" || s.under("tools") || s.under("bench") && p != "bench/machine" {
			continue
		}
		seen[p] = true
		if !words[p] {
			t.Errorf("docs/architecture.md, \"Layers\", does not have package %s", p)
		}
	}
}

// Records are listed in the order of their numbers, each once.
func TestDecisionsAreListed(t *testing.T) {
	folder := filepath.Join(root(t), "docs", "adr")
	files, err := filepath.Glob(filepath.Join(folder, "[0-9]*.md")) // sorted
	if err != nil || len(files) == 0 {
		t.Fatal("no records", err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var listed, want []string
	for _, m := range link.FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, m[1])
	}
	numbers := map[string]bool{}
	for _, f := range files {
		name := filepath.Base(f)
		want = append(want, name)
		if numbers[name[:4]] {
			t.Errorf("two records have the number %s", name[:4])
		}
		numbers[name[:4]] = true
	}
	if !slices.Equal(listed, want) {
		t.Errorf("docs/adr/README.md lists %q, the records in order are %q", listed, want)
	}
}

// TestDocumentsAreListed: the index says of every document what it is for.
func TestDocumentsAreListed(t *testing.T) {
	folder := filepath.Join(root(t), "docs")
	index, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.md", "format/*.md"} {
		pages, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, page := range pages {
			name, err := filepath.Rel(folder, page)
			if err != nil {
				t.Fatal(err)
			}
			if name = filepath.ToSlash(name); name != "README.md" && !strings.Contains(string(index), "]("+name+")") {
				t.Errorf("docs/README.md does not list %s", name)
			}
		}
	}
}
