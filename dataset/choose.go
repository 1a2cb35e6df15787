package dataset

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/store"
)

// choose returns the table with labels, or several that are parts of one: tables with the same name in
// different folders, or named after splits, with the same columns. If there are others, it takes the one whose
// name says that it has labels, or that lists by far the most images.
func (o *opener) choose(st store.Store, found []part, images *lookup) ([]part, error) {
	all := found
	found = slices.DeleteFunc(slices.Clone(found), func(p part) bool { return isSubmission(p.t.Path) })
	if len(found) == 0 {
		found = all
	}
	parts, err := together(st, found, images)
	if err == nil && len(parts) < len(all) {
		var others []string
		for _, p := range all {
			if !slices.ContainsFunc(parts, func(q part) bool { return q.t == p.t }) {
				others = append(others, path.Base(filepath.ToSlash(p.t.Path)))
			}
		}
		o.d.notef("tables that have labels of some images, too, and do not count: %s (give the one that does)", layout.First(others))
	}
	return parts, err
}

// isSubmission reports whether a table's name is that of an example submission to a challenge.
func isSubmission(p string) bool {
	name := strings.ToLower(path.Base(filepath.ToSlash(p)))
	return strings.Contains(name, "submission") || strings.Contains(name, "solution")
}

// together returns those of a few tables that form one set.
func together(st store.Store, found []part, images *lookup) ([]part, error) {
	if len(found) == 1 {
		if _, ok := tableSplit(found[0].t.Path); ok && path.Base(found[0].dir) != found[0].split {
			found[0].split = "" // a single train.csv is the whole data set
		}
		return found, nil
	}
	same, splits := true, map[string]bool{}
	for _, p := range found {
		same = same && slices.Equal(p.t.Header, found[0].t.Header)
		splits[p.split] = true
	}
	if same && len(splits) == len(found) && !splits[""] {
		return found, nil
	}
	if same && splitsByName(found) {
		return found, nil
	}
	if same && oneName(found) {
		return found, nil
	}
	if named := preferred(found); named != nil {
		return named, nil
	}
	if most := largest(found, images); most != nil {
		return most, nil
	}
	names := make([]string, len(found))
	for i, p := range found {
		names[i] = p.t.Path
	}
	return nil, badf("%s: %d tables have labels of these images: give the one that counts: %s", st.Root(), len(found), listed(names))
}

// splitsByName tells whether the names of tables are the same but for a split, each another one, and gives them these splits.
func splitsByName(found []part) bool {
	splits, names := map[string]bool{}, map[string]bool{}
	of := make([]string, len(found))
	for i, p := range found {
		var others string
		of[i], others = layout.SplitIn(stemOf(p.t.Path))
		splits[of[i]], names[others] = true, true
	}
	if splits[""] || len(splits) != len(found) || len(names) != 1 {
		return false
	}
	for i := range found {
		found[i].split = of[i]
	}
	return true
}

func oneName(found []part) bool {
	return !slices.ContainsFunc(found, func(p part) bool { return path.Base(p.t.Path) != path.Base(found[0].t.Path) })
}

// preferred returns the table whose name indicates labels or metadata.
func preferred(found []part) []part {
	for _, want := range []string{"labels.", "metadata.", "_classes."} {
		for _, p := range found {
			if p.dir == "." && strings.HasPrefix(strings.ToLower(path.Base(filepath.ToSlash(p.t.Path))), want) {
				return []part{p}
			}
		}
	}
	var named []part
	for _, p := range found {
		stem := strings.ToLower(path.Base(filepath.ToSlash(p.t.Path)))
		if strings.Contains(stem, "label") || strings.Contains(stem, "groundtruth") || strings.Contains(stem, "ground_truth") {
			named = append(named, p)
		}
	}
	if len(named) == 1 {
		return named
	}
	return nil
}

// largest returns the table that lists at least half of the images, and twice as many as any other.
func largest(found []part, images *lookup) []part {
	best, most, second := -1, 0, 0
	for k, p := range found {
		hits := map[string]bool{}
		col, err := imageColumn(newHeadings(p.t), Options{}, func(v string) bool {
			_, how, err := images.find(v, p.dir)
			return how != notFound && err == nil
		})
		if err != nil {
			continue
		}
		for _, row := range p.t.Rows {
			if file, how, err := images.find(row[col], p.dir); err == nil && how != notFound {
				hits[file] = true
			}
		}
		if n := len(hits); n > most {
			best, most, second = k, n, most
		} else {
			second = max(second, n)
		}
	}
	if best < 0 || 2*most < len(images.names) || most < 2*second {
		return nil
	}
	return found[best : best+1]
}
