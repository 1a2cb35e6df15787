package dataset

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/dataset/label"
	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/store"
	"melo.example/melo/dataset/table"
)

// part is a table, or one of several that are read as one.
type part struct {
	t     *table.Table
	dir   string // the table's folder in the store
	split string // split of all its rows; "" if the table decides
}

// fromTables makes the data set from tables. after is called with the reader, for example to warn about images
// without a row.
func (o *opener) fromTables(st store.Store, parts []part, find func(name, dir string) (string, int, error), after func(*reader)) error {
	r := &reader{d: o.d, opt: o.opt, find: find}
	for _, p := range parts {
		if err := r.read(p.t, p.dir, p.split); err != nil {
			return err
		}
	}
	tablePath := parts[0].t.Path
	if err := r.finish(tablePath); err != nil {
		return err
	}
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = path.Base(filepath.ToSlash(p.t.Path))
	}
	if o.d.understood == "" {
		o.d.understood = "by the table " + layout.First(names)
	}
	if after != nil {
		after(r)
	} else {
		rows := make(map[string]bool, len(r.records))
		for i := range r.records {
			rows[filepath.Clean(st.Path(r.records[i].Path))] = true
		}
		o.d.leaveWithoutRow(tablePath, rows)
	}
	return o.d.take(st, r.records, r.task, r.labels, o.opt)
}

// fromStore makes the data set from tables and the images of a store.
func (o *opener) fromStore(st store.Store, c *contents, parts []part) error {
	kept, left, notes := layout.Companions(c.images, o.mask(st))
	masks := make(map[string]bool, len(left))
	for _, l := range left {
		masks[l.Name] = true
	}
	images, all := newLookup(kept), newLookup(c.images)
	find := func(name, dir string) (string, int, error) {
		if path.IsAbs(filepath.ToSlash(name)) || strings.Contains(name, "..") { // outside the store
			if p := (place{st.Root()}); p.isFile(filepath.ToSlash(name)) {
				return filepath.ToSlash(name), byPath, nil
			}
		}
		file, how, err := images.find(name, dir)
		if how != notFound || err != nil {
			return file, how, err
		}
		return all.find(name, dir) // a mask that a table lists is an image
	}
	after := func(r *reader) {
		for _, n := range notes {
			o.d.notef("%s", n)
		}
		used := make(map[string]bool, len(r.records))
		for i := range r.records {
			used[r.records[i].Path] = true
		}
		for _, name := range c.images {
			switch {
			case used[name]:
			case masks[name]:
				o.d.leave(layout.ReasonMask, name)
			default:
				o.d.leave(withoutRow(parts[0].t.Path), name)
			}
		}
	}
	return o.fromTables(st, parts, find, after)
}

// maxSearched limits the number of tables in a folder that are examined, and maxSearchedBytes the size of each.
const (
	maxSearched      = 64
	maxSearchedBytes = 512 << 20
)

// fromFound looks for tables of labels in a store, and makes the data set from them. done reports whether it
// found any.
func (o *opener) fromFound(st store.Store, c *contents) (done bool, err error) {
	if done, err := o.webDataset(st, c); done || err != nil {
		return done, err
	}
	found, err := o.search(st, c)
	if err != nil || len(found) == 0 {
		return false, err
	}
	parts, err := o.choose(st, found, newLookup(c.images))
	if err != nil {
		return false, err
	}
	if err := o.agree(st, c, parts); err != nil {
		return false, err
	}
	return true, o.fromStore(st, c, parts)
}

// search parses the tables of a store and returns those that list images and labels.
func (o *opener) search(st store.Store, c *contents) ([]part, error) {
	if len(c.tables) > maxSearched {
		return nil, nil // annotation files, one per image
	}
	images := newLookup(c.images)
	var found, rest []part
	for _, name := range c.tables {
		data, err := st.Read(name, maxSearchedBytes)
		if err != nil {
			return nil, badf("%v", err)
		}
		as := name
		if path.Ext(name) == "" {
			as += ".csv"
		}
		t, err := table.Parse(data, as)
		if err != nil {
			if path.Dir(name) == "." && strings.HasPrefix(strings.ToLower(path.Base(name)), "metadata.") {
				return nil, badf("%s: %v", st.Path(name), err)
			}
			continue // not a usable table
		}
		t.Path = st.Path(name)
		p := part{t: t, dir: path.Dir(name)}
		if s, ok := layout.SplitName(path.Base(p.dir)); ok {
			p.split = s
		} else if s, ok := tableSplit(name); ok {
			p.split = s
		}
		switch o.usable(p, images) {
		case withLabels:
			found = append(found, p)
		case withImages:
			rest = append(rest, p)
		}
	}
	if joined, ok := joinMIMIC(st, c, images); ok {
		return []part{joined}, nil
	}
	for i := range found {
		for _, extra := range rest {
			joinAttributes(found[i].t, extra.t)
		}
	}
	return found, nil
}

// tableSplit returns the split in the name of a table, as in "train.csv" or "valid.csv". "trainLabels.csv" has
// none.
func tableSplit(name string) (string, bool) {
	return layout.SplitName(stemOf(name))
}

// stemOf is the name of a table without folders and endings.
func stemOf(name string) string {
	stem := strings.TrimSuffix(path.Base(filepath.ToSlash(name)), ".gz")
	return strings.TrimSuffix(stem, path.Ext(stem))
}

// What a table can be used for.
const (
	useless = iota
	withImages
	withLabels
)

// usable reports whether a table lists existing images, and labels.
func (o *opener) usable(p part, images *lookup) int {
	found := func(v string) bool {
		_, how, err := images.find(v, p.dir)
		return how != notFound || err != nil
	}
	h := newHeadings(p.t)
	col, err := imageColumn(h, o.opt, found)
	if err != nil {
		return useless
	}
	if n, hits := probe(p.t, col, found); hits == 0 || 10*hits < n {
		return useless
	}
	if _, err := columnsOf(p.t, o.opt, found); err != nil && !errors.Is(err, errRival) {
		return withImages
	}
	return withLabels
}

// agree returns an error if a table in a tree of class folders disagrees with the folders' labels.
func (o *opener) agree(st store.Store, c *contents, parts []part) error {
	if o.opt.Layout == LayoutTable || o.opt.namesColumns() {
		return nil
	}
	kept, _, _ := layout.Companions(c.images, o.mask(st))
	plan, err := layout.Folders(kept, layout.Auto)
	if err != nil {
		return nil
	}
	names := map[string]bool{}
	for _, m := range plan.Images {
		names[m.Label] = true
	}
	list := make([]string, 0, len(names))
	for name := range names {
		if layout.PartName(name) {
			return nil // these folders only divide the images
		}
		list = append(list, name)
	}
	if len(list) < 2 || len(list) > 100 {
		return nil
	}
	slices.Sort(list)
	t := parts[0].t
	cells := map[string]bool{}
	for _, row := range t.Rows[:min(len(t.Rows), 10_000)] {
		for _, cell := range row {
			cells[label.Fold(cell)] = true
		}
	}
	for _, name := range t.Header {
		cells[label.Fold(name)] = true
	}
	agree := 0
	for _, name := range list {
		if cells[label.Fold(name)] {
			agree++
		}
	}
	if agree == len(list) {
		return nil
	}
	return badf("%s: %v", st.Root(), &layout.AmbiguousError{Readings: []string{
		fmt.Sprintf("the labels are in the table %s (--layout table)", path.Base(filepath.ToSlash(t.Path))),
		fmt.Sprintf("the labels are the folders %s (--layout classes)", layout.First(list)),
	}})
}

// joinAttributes adds the columns of a table without labels to one with labels that lists the same images.
func joinAttributes(t, extra *table.Table) {
	a, b := newHeadings(t), newHeadings(extra)
	var key string
	for _, name := range imageNames {
		_, inA := a.plain[name]
		if _, inB := b.plain[name]; inA && inB {
			key = name
			break
		}
	}
	if key == "" {
		return
	}
	join(t, extra, a.plain[key], b.plain[key])
}

// join adds the columns of extra that t lacks, by equal keys. Rows without a match get blanks. It does nothing
// if fewer than nine of ten rows have a match.
func join(t, extra *table.Table, key, extraKey int) bool {
	at := make(map[string]int, len(extra.Rows))
	for i, row := range extra.Rows {
		at[row[extraKey]] = i
	}
	hits := 0
	for _, row := range t.Rows {
		if _, ok := at[row[key]]; ok {
			hits++
		}
	}
	if 10*hits < 9*len(t.Rows) {
		return false
	}
	var take []int
	for i, name := range extra.Header {
		if i != extraKey && t.Column(name) < 0 {
			take = append(take, i)
			t.Header = append(t.Header, name)
		}
	}
	for r, row := range t.Rows {
		i, ok := at[row[key]]
		for _, col := range take {
			cell := ""
			if ok {
				cell = extra.Rows[i][col]
			}
			row = append(row, cell)
		}
		t.Rows[r] = row
	}
	return true
}

// withoutRow is the reason for which an image that a table does not name is left out.
func withoutRow(table string) string { return "images without a row in " + filepath.Base(table) }

// leaveWithoutRow leaves out images that have no row: in the folders of those that have, and in the folders beside these.
func (d *Dataset) leaveWithoutRow(table string, rows map[string]bool) {
	folders := map[string]bool{}
	for path := range rows {
		folders[filepath.Dir(path)] = true
	}
	for _, dir := range besideThem(folders, d.Root) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // unreadable folder; the listed images were found
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if e.IsDir() || !layout.IsImage(e.Name()) || layout.Hidden(e.Name()) || rows[path] {
				continue
			}
			if rel, err := filepath.Rel(d.Root, path); err == nil {
				path = filepath.ToSlash(rel)
			}
			d.leave(withoutRow(table), path)
		}
	}
}

// besideThem returns the folders and, below root, their sibling folders, sorted: a class that is missing from
// the table is such a folder.
func besideThem(folders map[string]bool, root string) []string {
	all, parents := make(map[string]bool, len(folders)), map[string]bool{}
	for dir := range folders {
		all[dir] = true
		parent := filepath.Dir(dir)
		if rel, err := filepath.Rel(root, dir); err != nil || rel == "." || !filepath.IsLocal(rel) || parents[parent] {
			continue
		}
		parents[parent] = true
		entries, err := os.ReadDir(parent)
		if err != nil {
			continue // unreadable folder
		}
		for _, e := range entries {
			dir := filepath.Join(parent, e.Name())
			if st, err := os.Stat(dir); err == nil && st.IsDir() && !layout.Hidden(e.Name()) {
				all[dir] = true
			}
		}
	}
	out := make([]string, 0, len(all))
	for dir := range all {
		out = append(out, dir)
	}
	slices.Sort(out)
	return out
}
