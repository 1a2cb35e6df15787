package dataset

import (
	"path"
	"path/filepath"
	"strings"

	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/table"
	"melo.example/melo/imaging"
)

// listSplits takes splits from lists of images in the options.
func (r *reader) listSplits() error {
	if len(r.opt.SplitFiles) == 0 {
		return nil
	}
	names := make([]string, len(r.records))
	at := map[string][]int{}
	for i := range r.records {
		names[i] = r.records[i].Path
		at[names[i]] = append(at[names[i]], i)
	}
	find := newLookup(names)
	given := make([]string, len(r.records))
	for _, item := range r.opt.SplitFiles {
		split, file, err := splitFile(item)
		if err != nil {
			return err
		}
		data, err := imaging.ReadFile(file, imaging.Limits{MaxFileBytes: table.MaxBytes})
		if err != nil {
			return badf("%v", err)
		}
		n, lines := 0, 0
		for line := range strings.Lines(strings.TrimPrefix(string(data), "\xef\xbb\xbf")) {
			name := strings.TrimSpace(line)
			if name, _, _ = strings.Cut(name, ","); name == "" {
				continue
			}
			lines++
			hit, how, err := find.find(strings.Trim(name, `"`), "")
			if err != nil {
				return badf("%s: %s %v", file, name, err)
			}
			if how == notFound {
				continue
			}
			n++
			for _, i := range at[hit] {
				if given[i] != "" && given[i] != split {
					return badf("%s: %s is in a list of %s, too", file, name, given[i])
				}
				given[i] = split
			}
		}
		if n == 0 {
			return badf("%s: none of its %d lines names an image of the data", file, lines)
		}
		r.d.notef("%s: %d images are %s", filepath.Base(file), n, split)
	}
	keep := 0
	for i := range r.records {
		if given[i] == "" {
			r.d.leave("images in no list of splits", r.records[i].Path)
			continue
		}
		r.records[keep] = r.records[i]
		r.records[keep].Split = given[i]
		if r.cells != nil {
			r.cells[keep] = r.cells[i]
		}
		keep++
	}
	r.records = r.records[:keep]
	if r.cells != nil {
		r.cells = r.cells[:keep]
	}
	return nil
}

// splitFile parses "train=FILE", or a file name that contains the split: "train_val_list.txt" means train, of
// which a part may become validation.
func splitFile(item string) (split, file string, err error) {
	if s, f, ok := strings.Cut(item, "="); ok {
		if split, ok = layout.SplitName(s); !ok {
			return "", "", badf("--split-file %s: %q is no split: expected train, val or test", item, s)
		}
		return split, f, nil
	}
	stem := strings.ToLower(strings.TrimSuffix(path.Base(filepath.ToSlash(item)), path.Ext(item)))
	words := strings.FieldsFunc(stem, func(r rune) bool { return r < 'a' || r > 'z' })
	found := map[string]bool{}
	for _, w := range words {
		if w == "trainval" {
			w = Train
		}
		if s, ok := layout.SplitName(w); ok {
			found[s] = true
		}
	}
	switch {
	case found[Train] && !found[Test]:
		return Train, item, nil
	case found[Val] && !found[Train] && !found[Test]:
		return Val, item, nil
	case found[Test] && !found[Train] && !found[Val]:
		return Test, item, nil
	}
	return "", "", badf("--split-file %s: its name does not say which split it lists: expected train=%s, val=... or test=...", item, item)
}
