package dataset

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"melo.example/melo/dataset/label"
	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/table"
)

// reader makes records from tables.
type reader struct {
	d   *Dataset
	opt Options

	find    func(name, dir string) (file string, how int, err error)
	records []Record
	task    Task
	labels  []string // labels of columns of 0 and 1; nil: those that occur

	cells   []string // label cell of each record, for a label column
	ways    [notFound]int
	tail    string            // an example of byTail
	tails   map[string]string // files found byTail, with the name in the table
	missing []string
}

// read takes the rows of a table in the folder dir of the store. split applies to all rows; if it is empty, the
// table decides.
func (r *reader) read(t *table.Table, dir, split string) error {
	if err := t.Where(r.opt.Where); err != nil {
		return badf("%s: %v", t.Path, err)
	}
	for _, n := range t.Notes {
		r.d.notef("%s %s", path.Base(t.Path), n)
	}
	c, err := columnsOf(t, r.opt, func(v string) bool {
		_, how, err := r.find(v, dir)
		return how != notFound || err != nil
	})
	if err != nil {
		return err
	}
	for _, n := range c.notes {
		r.d.noteOnce(n)
	}
	first := len(r.records)
	kept, err := r.rows(t, c, dir, split)
	if err != nil {
		return err
	}
	if c.label >= 0 {
		r.cells = append(r.cells, make([]string, len(r.records)-len(r.cells))...)
		for k, row := range kept {
			r.cells[first+k] = t.Rows[row][c.label]
		}
		return nil
	}
	return r.targets(t, c, first, kept)
}

// rows makes a record, without labels, for each row whose image exists, and returns the indices of these rows.
func (r *reader) rows(t *table.Table, c columns, dir, split string) (kept []int, err error) {
	for i, row := range t.Rows {
		rec := Record{Where: t.At(i), Split: split}
		if row[c.path] == "" {
			return nil, badf("%s: empty path", rec.Where)
		}
		file, how, err := r.find(row[c.path], dir)
		if err != nil {
			return nil, badf("%s: %s %v", rec.Where, row[c.path], err)
		}
		if how == notFound {
			r.missing = append(r.missing, fmt.Sprintf("%s: %s", rec.Where, row[c.path]))
			continue
		}
		if r.ways[how]++; how == byTail {
			r.tail = fmt.Sprintf("%s for %s", path.Base(file), row[c.path])
			if r.tails == nil {
				r.tails = map[string]string{}
			}
			if other := r.tails[file]; other != "" && other != row[c.path] {
				return nil, badf("%s: %s and %s both fit %s by the number at their ends: --image-column or the table must name files", rec.Where, other, row[c.path], file)
			}
			r.tails[file] = row[c.path]
		}
		rec.Path = file
		if c.group >= 0 && !label.Missing(row[c.group]) {
			rec.Group = row[c.group]
		}
		if c.split >= 0 && split == "" {
			name, ok := c.splitOf(row[c.split])
			if !ok {
				return nil, badf("%s: split %q: expected train, val or test", rec.Where, row[c.split])
			}
			rec.Split = name
		}
		for _, a := range c.attrs {
			if rec.Attr == nil {
				rec.Attr = make(map[string]string, len(c.attrs))
			}
			rec.Attr[t.Header[a]] = row[a]
		}
		r.records, kept = append(r.records, rec), append(kept, i)
	}
	return kept, nil
}

// targets reads the label columns of 0 and 1 for the records from first on, which belong to the given rows.
func (r *reader) targets(t *table.Table, c columns, first int, rows []int) error {
	order, names, err := r.targetColumns(t, c)
	if err != nil {
		return err
	}
	if r.labels != nil && !slices.Equal(r.labels, names) {
		return badf("%s: has the labels %s, another table %s", t.Path, listed(names), listed(r.labels))
	}
	r.labels, r.task = names, MultiLabel
	blank, uncertain := 0, 0
	for k, row := range rows {
		rec := &r.records[first+k]
		for l, col := range order {
			cell := t.Rows[row][col]
			v, ok := parseTarget(cell)
			switch {
			case !ok || v == Unknown && r.opt.Uncertain == UncertainRefuse:
				hint := ""
				if v == Unknown {
					hint = ": if -1 means uncertain, --uncertain ignore, positive or negative says what that counts as"
				}
				return badf("%s: column %q is %q: expected 0 or 1%s", t.At(row), t.Header[col], cell, hint)
			case label.Missing(cell):
				blank++
			case v == Unknown:
				uncertain++
				if r.opt.Uncertain == UncertainIgnore {
					rec.Unknown = append(rec.Unknown, names[l])
				}
				if r.opt.Uncertain == UncertainPositive {
					v = 1
				}
			}
			if v == 1 {
				rec.Labels = append(rec.Labels, names[l])
			}
		}
	}
	if uncertain > 0 {
		r.d.notef("%d uncertain findings (-1) count as %s", uncertain, map[Uncertain]string{UncertainIgnore: "not known",
			UncertainPositive: "present", UncertainNegative: "absent"}[r.opt.Uncertain])
	}
	if blank > 0 {
		r.d.notef("%d blank cells in the columns of labels count as absent", blank)
	}
	return nil
}

// targetColumns returns the label columns and their names, in the requested order.
func (r *reader) targetColumns(t *table.Table, c columns) (order []int, names []string, err error) {
	if len(r.opt.Labels) == 0 {
		for _, col := range c.targets {
			names = append(names, t.Header[col])
		}
		return c.targets, names, nil
	}
	for _, name := range r.opt.Labels {
		col := t.Column(name)
		if col < 0 {
			return nil, nil, badf("%s: no column for label %q: the columns are %s", t.Path, name, listed(t.Header))
		}
		order = append(order, col)
	}
	return order, r.opt.Labels, nil
}

// finish determines labels and splits, merges rows of the same image, and adds notes.
func (r *reader) finish(tablePath string) error {
	if err := r.checkMissing(tablePath); err != nil {
		return err
	}
	if err := r.listSplits(); err != nil {
		return err
	}
	if r.cells != nil {
		if r.labels != nil {
			return badf("%s: one table has a column of labels, another columns of 0 and 1: --label-column says which counts", tablePath)
		}
		if err := r.readCells(tablePath); err != nil {
			return err
		}
	}
	if err := r.foldRows(); err != nil {
		return err
	}
	if r.cells == nil {
		r.oneHot()
	}
	if err := r.d.patients(r.records, r.opt); err != nil {
		return err
	}
	if n := r.ways[byTail]; n > 0 {
		r.d.warnf("%d images were found by the number at the end of their names alone, such as %s: make sure that they are the right ones", n, r.tail)
	}
	for _, w := range []struct {
		how  int
		text string
	}{{byStem, "%d images were found under another extension than the table has, or it has none"},
		{byNumber, "%d images were found without, or with, leading zeros"},
		{byBeginning, "%d images were found by the beginning of their names"}} {
		if n := r.ways[w.how]; n > 0 {
			r.d.notef(w.text, n)
		}
	}
	return nil
}

func (r *reader) checkMissing(tablePath string) error {
	if len(r.missing) == 0 {
		return nil
	}
	text := fmt.Sprintf("%s: %d of %d rows have no file", tablePath, len(r.missing), len(r.missing)+len(r.records))
	if !r.opt.AllowMissing {
		return badf("%s (--images says where they are; --allow-missing leaves them out): %s", text, listed(r.missing))
	}
	r.d.notef("%s, and are left out: %s", text, layout.First(r.missing))
	return nil
}

// readCells reads the label column.
func (r *reader) readCells(tablePath string) error {
	count, all := map[string]int{}, map[string]int{}
	for i, cell := range r.cells {
		if strings.HasPrefix(cell, `{"`) {
			return badf("%s: the label is a structure, %s: --label-column names a column of plain values", r.records[i].Where, cell)
		}
		all[cell]++
	}
	gaps := label.Gaps(all)
	for _, l := range r.opt.Labels {
		delete(gaps, l) // a requested label
	}
	var missing []string
	keep := 0
	for i, cell := range r.cells {
		if gaps[cell] {
			missing = append(missing, fmt.Sprintf("%s: %s has no label (%q)", r.records[i].Where, r.records[i].Path, cell))
			continue
		}
		count[cell]++
		r.records[keep], r.cells[keep] = r.records[i], cell
		keep++
	}
	if len(missing) > 0 && !r.opt.DropUnlabelled {
		return badf("%s: %d of %d rows have no label (--drop-unlabelled leaves them out): %s", tablePath, len(missing), len(r.cells), listed(missing))
	}
	r.records, r.cells = r.records[:keep], r.cells[:keep]
	if len(missing) > 0 {
		r.d.notef("%d rows have no label and are left out", len(missing))
	}
	sep, err := r.separator(count)
	if err != nil {
		return badf("%s: %v", tablePath, err)
	}
	if sep != "" {
		return r.findings(sep)
	}
	to := r.merge(count)
	for i, cell := range r.cells {
		r.records[i].Labels = []string{to[cell]}
	}
	r.doubtGaps(count)
	if r.opt.Task == MultiLabel {
		r.task = MultiLabel
	}
	return nil
}

// doubtGaps warns about labels that may mean "unknown".
func (r *reader) doubtGaps(count map[string]int) {
	numbers := 0
	for v := range count {
		if strings.Trim(label.Fold(v), "-0123456789") == "" {
			numbers++
		}
	}
	if 2*numbers > len(count)+1 {
		return // numbers among numbers
	}
	for _, v := range slices.Sorted(maps.Keys(count)) {
		if label.MayBeGap(v) {
			r.d.warnf("the label %q (%d images) may say that none is known: --where COLUMN!=%s leaves these out", v, count[v], v)
		}
	}
}

// separator returns what separates findings; "" if a cell is one label.
func (r *reader) separator(count map[string]int) (string, error) {
	known := map[string]bool{}
	for _, l := range r.opt.Labels {
		known[l] = true
	}
	whole := len(known) > 0
	for v := range count {
		whole = whole && known[v]
	}
	switch {
	case whole || r.opt.Separator == "none" || r.opt.Task == MultiClass || r.opt.Task == Binary:
		return "", nil
	case r.opt.Separator != "":
		return r.opt.Separator, nil
	}
	sep, err := label.Separator(count)
	var two *label.Ambiguous
	if errors.As(err, &two) {
		err = fmt.Errorf("%w: --label-separator %q or none says which", err, two.Separator)
	}
	return sep, err
}

// merge merges spellings of the same label. Requested labels keep their spelling.
func (r *reader) merge(count map[string]int) map[string]string {
	to, notes := label.Merge(count)
	for _, n := range notes {
		r.d.notef("%s", n)
	}
	wanted := map[string]string{}
	for _, l := range r.opt.Labels {
		wanted[label.Fold(l)] = l
	}
	for v := range to {
		if l, ok := wanted[label.Fold(v)]; ok {
			to[v] = l
		}
	}
	return to
}

// findings splits cells with several findings. A value that means "no finding" becomes no label.
func (r *reader) findings(sep string) error {
	r.task = MultiLabel
	count := map[string]int{}
	for _, cell := range r.cells {
		for _, p := range label.Parts(cell, sep) {
			count[p]++
		}
	}
	to := r.merge(count)
	none := 0
	for i, cell := range r.cells {
		for _, p := range label.Parts(cell, sep) {
			name := to[p]
			if label.NoFinding(name) && !slices.Contains(r.opt.Labels, name) {
				none++
				continue
			}
			if !slices.Contains(r.records[i].Labels, name) {
				r.records[i].Labels = append(r.records[i].Labels, name)
			}
		}
	}
	r.d.notef("cells are several findings with %q between them", sep)
	if none > 0 {
		r.d.notef("%d images without a finding have no label", none)
	}
	return nil
}

// foldRows merges rows of the same image if they agree, and returns an error otherwise.
func (r *reader) foldRows() error {
	seen := make(map[string]int, len(r.records))
	keep := 0
	for _, rec := range r.records {
		j, ok := seen[rec.Path]
		if !ok {
			seen[rec.Path] = keep
			r.records[keep] = rec
			keep++
			continue
		}
		first := &r.records[j]
		if !slices.Equal(first.Labels, rec.Labels) || !slices.Equal(first.Unknown, rec.Unknown) || first.Split != rec.Split || first.Group != rec.Group {
			file, line, _ := cutLast(first.Where, ":")
			if strings.HasPrefix(rec.Where, file+":") {
				file = "line " + line
			} else {
				file = first.Where
			}
			return badf("%s: %s stands in %s already, with other labels, split or group", rec.Where, rec.Path, file)
		}
	}
	if n := len(r.records) - keep; n > 0 {
		r.d.notef("%d rows name an image that an earlier row names, with the same labels", n)
	}
	r.records = r.records[:keep]
	return nil
}

// cutLast cuts around the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// oneHot checks whether exactly one of the columns is 1 in every row. They are then a single label.
func (r *reader) oneHot() {
	if r.task != MultiLabel || len(r.labels) < 2 || r.opt.Task == MultiLabel {
		return
	}
	for i := range r.records {
		if len(r.records[i].Labels) != 1 || len(r.records[i].Unknown) > 0 {
			return
		}
	}
	r.task = MultiClass
	used := map[string]bool{}
	for i := range r.records {
		used[r.records[i].Labels[0]] = true
	}
	var empty []string
	r.labels = slices.DeleteFunc(slices.Clone(r.labels), func(l string) bool {
		if !used[l] {
			empty = append(empty, l)
		}
		return !used[l]
	})
	r.d.notef("exactly one column is 1 in every row: an image has one of %d labels", len(r.labels))
	if len(empty) > 0 {
		r.d.notef("columns that are 1 nowhere are no labels: %s", layout.First(empty))
	}
}
