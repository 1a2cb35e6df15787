package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/dataset/label"
	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/table"
)

// Usual names of columns in the form of plainName, in order of preference.
var (
	imageNames = []string{"path", "file", "filename", "image", "filepath", "imagepath", "imagefile", "imagefilename", "imagefilepath", "fname", "img",
		"imgpath", "imgname", "imagename", "imageid", "imageindex", "imgid", "isicid", "idcode", "dicomid", "sopinstanceuid", "id", "patientid"}
	labelNames = []string{"label", "labels", "findinglabels", "target", "dx", "diagnosis", "class", "classname", "classlabel", "category", "level",
		"pathology", "finding", "findings", "groundtruth", "diagnostic", "disease", "grade", "drgrade"}
	// labelWords stand in names of columns that may be labels.
	labelWords = []string{"label", "class", "diagnos", "patholog", "finding", "disease", "grade", "severity", "groundtruth"}
	groupNames = []string{"group", "patient", "patientid", "subjectid", "subject", "personid", "lesionid", "caseid", "case", "patientno", "patientnumber",
		"patientname", "participantid", "participant", "mrn", "pid", "studyid"}
	setNames     = []string{"set", "subset", "partition", "dataset", "phase", "usage", "splitset", "datasplit", "fold", "mode", "stage"}
	maxAttrNames = 1000 // limit of additional columns
)

// plainName returns a column's name in lower case, with letters and digits only.
func plainName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127 {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

// columns holds the indices of a table's columns by meaning; -1 if there is none.
type columns struct {
	path, label, split, group int
	targets                   []int // label columns with values 0 and 1
	// splits for values 0 and 1 of the split column; empty if it holds names of splits
	flag  [2]string
	attrs []int // all other columns
	notes []string
}

// headings finds columns by name.
type headings struct {
	t     *table.Table
	plain map[string]int
}

func newHeadings(t *table.Table) headings {
	h := headings{t, make(map[string]int, len(t.Header))}
	for i, name := range t.Header {
		p := plainName(name)
		if _, ok := h.plain[p]; !ok {
			h.plain[p] = i
		}
	}
	return h
}

// all returns the columns with one of the usual names, in order of preference.
func (h headings) all(usual []string) (out []int) {
	for _, name := range usual {
		if i, ok := h.plain[name]; ok {
			out = append(out, i)
		}
	}
	return out
}

// named returns the column that an option names, or else the first with a usual name, or -1.
func (h headings) named(option string, usual []string) (int, error) {
	if option == "" {
		if all := h.all(usual); len(all) > 0 {
			return all[0], nil
		}
		return -1, nil
	}
	i := h.t.Column(option)
	if i < 0 {
		var ok bool
		if i, ok = h.plain[plainName(option)]; !ok {
			return -1, badf("%s: no column %q: the columns are %s", h.t.Path, option, listed(h.t.Header))
		}
	}
	return i, nil
}

// finder reports whether a value refers to an existing image.
type finder func(value string) bool

// columnsOf determines the meaning of a table's columns.
func columnsOf(t *table.Table, opt Options, found finder) (c columns, err error) {
	h := newHeadings(t)
	if c.path, err = imageColumn(h, opt, found); err != nil {
		return c, err
	}
	if c.group, err = h.named(opt.GroupColumn, groupNames); err != nil {
		return c, err
	}
	if c.group == c.path && opt.GroupColumn == "" {
		c.group = -1
	}
	if c.group >= 0 && opt.GroupColumn == "" && len(t.Rows) > 1 && len(t.Values(c.group)) == 1 {
		c.notes = append(c.notes, fmt.Sprintf("the column %q is %q in every row and tells no patients apart", t.Header[c.group], t.Rows[0][c.group]))
		c.group = -1
	}
	if c.split, err = h.named(opt.SplitColumn, []string{"split"}); err != nil {
		return c, err
	}
	if c.split < 0 {
		c.otherSplit(h)
	}
	if err := c.labels(h, opt); err != nil {
		return c, err
	}
	c.unusedSplit(h)
	targets := make(map[int]bool, len(c.targets))
	for _, i := range c.targets {
		targets[i] = true
	}
	for i := range t.Header {
		if i != c.path && i != c.label && i != c.split && i != c.group && !targets[i] {
			c.attrs = append(c.attrs, i)
		}
	}
	if len(c.attrs) > maxAttrNames {
		c.notes = append(c.notes, fmt.Sprintf("%d further columns are not kept", len(c.attrs)))
		c.attrs = nil
	}
	return c, nil
}

// imageColumn finds the column with image names: the first with a usual name in which most values are existing
// files, or else any column in which all are.
func imageColumn(h headings, opt Options, found finder) (int, error) {
	t := h.t
	if opt.ImageColumn != "" {
		return h.named(opt.ImageColumn, nil)
	}
	usual := h.all(imageNames)
	for _, i := range usual {
		if n, hits := probe(t, i, found); 2*hits >= n {
			return i, nil
		}
	}
	if len(usual) > 0 && (found == nil || h.plain["path"] == usual[0] && t.Header[usual[0]] == "path") {
		return usual[0], nil
	}
	for i := range min(len(t.Header), 100) {
		if n, hits := probe(t, i, found); hits == n && n > 0 && distinct(t, i) {
			return i, nil
		}
	}
	if len(usual) > 0 {
		return usual[0], nil
	}
	return -1, badf("%s: no column \"path\", or another that names images (--image-column): the columns are %s", t.Path, listed(t.Header))
}

// probe counts the non-empty values at the beginning of a column, and those that are existing files.
func probe(t *table.Table, col int, found finder) (n, hits int) {
	for _, row := range t.Rows[:min(len(t.Rows), 50)] {
		if row[col] != "" {
			n++
			if found != nil && found(row[col]) {
				hits++
			}
		}
	}
	return n, hits
}

// distinct reports whether all values of a column differ, as file names do.
func distinct(t *table.Table, col int) bool {
	seen := map[string]bool{}
	for _, row := range t.Rows {
		seen[row[col]] = true
	}
	return 10*len(seen) >= 9*len(t.Rows)
}

// flagNames lists columns of 0 and 1, or true and false, that say whether an image belongs to a split, with the
// splits for true and false.
var flagNames = []struct{ name, yes, no string }{{"istest", layout.Test, layout.Train}, {"istrain", layout.Train, layout.Test},
	{"istraining", layout.Train, layout.Test}, {"isvalid", layout.Val, layout.Train}, {"isval", layout.Val, layout.Train}, {"isvalidation", layout.Val, layout.Train}}

// otherSplit looks for a column with split names under another heading.
func (c *columns) otherSplit(h headings) {
	for _, i := range h.all(setNames) {
		if i != c.path && isSplit(h.t, i) {
			c.split = i
			c.notes = append(c.notes, fmt.Sprintf("splits are from the column %q", h.t.Header[i]))
			return
		}
	}
	for _, f := range flagNames {
		i, ok := h.plain[f.name]
		if ok && i != c.path && isTarget(h.t, i) && !slices.ContainsFunc(h.t.Rows, func(row []string) bool {
			v, _ := parseTarget(row[i])
			return v == Unknown || label.Missing(row[i])
		}) {
			c.split, c.flag = i, [2]string{f.no, f.yes}
			c.notes = append(c.notes, fmt.Sprintf("splits are from the column %q: 1 is %s, 0 %s", h.t.Header[i], f.yes, f.no))
			return
		}
	}
}

// unusedSplit adds a note if a column is named like a split column but not used as one.
func (c *columns) unusedSplit(h headings) {
	if c.split >= 0 {
		return
	}
	for _, i := range h.all(setNames) {
		if i != c.path && i != c.label && i != c.group && !slices.Contains(c.targets, i) {
			c.notes = append(c.notes, fmt.Sprintf("the column %q is not taken for splits: its values are %s", h.t.Header[i], table.Listed(h.t.Values(i))))
			return
		}
	}
}

// splitOf interprets a value of the split column.
func (c *columns) splitOf(cell string) (string, bool) {
	if c.flag[0] == "" {
		return layout.SplitName(cell)
	}
	v, ok := parseTarget(cell)
	return c.flag[int(v)], ok
}

// attributeNames lists columns of 0 and 1 that describe the patient or the acquisition. They are not labels
// unless an option names them.
var attributeNames = map[string]bool{"sex": true, "gender": true, "male": true, "female": true, "ismale": true, "isfemale": true, "age": true, "smoker": true,
	"index": true, "unnamed0": true, "fold": true, "frontal": true, "lateral": true, "isaugmented": true, "augmented": true, "site": true, "hospital": true, "device": true, "scanner": true}

// isSplit reports whether all values of a column are names of splits.
func isSplit(t *table.Table, col int) bool {
	for _, row := range t.Rows {
		if _, ok := layout.SplitName(row[col]); !ok {
			return false
		}
	}
	return true
}

// labels finds the label column, or the label columns with values 0 and 1.
func (c *columns) labels(h headings, opt Options) error {
	t := h.t
	c.label = -1
	if len(opt.LabelColumns) > 0 {
		for _, name := range opt.LabelColumns {
			i, err := h.named(name, nil)
			if err != nil {
				return err
			}
			c.targets = append(c.targets, i)
		}
		return nil
	}
	if c.wanted(t, opt) {
		return nil
	}
	if opt.LabelColumn != "" {
		var err error
		c.label, err = h.named(opt.LabelColumn, nil)
		return err
	}
	var likely []int
	for _, i := range h.all(labelNames) {
		if i != c.path && i != c.group && i != c.split {
			likely = append(likely, i)
		}
	}
	if len(likely) > 0 {
		c.label = likely[0]
		if name := t.Header[c.label]; len(likely) > 1 {
			others := make([]string, len(likely)-1)
			for k, i := range likely[1:] {
				others[k] = strconv.Quote(t.Header[i])
			}
			c.notes = append(c.notes, fmt.Sprintf("labels are from the column %q, not from %s (--label-column)", name, strings.Join(others, ", ")))
		} else if name != "label" {
			c.notes = append(c.notes, fmt.Sprintf("labels are from the column %q", name))
		}
		return nil
	}
	var about []string
	for i, name := range t.Header {
		switch {
		case i == c.path || i == c.split || i == c.group || !isTarget(t, i):
		case attributeNames[plainName(name)]:
			about = append(about, name)
		default:
			c.targets = append(c.targets, i)
		}
	}
	if other := c.rival(t); len(c.targets) > 0 && other >= 0 {
		var names []string
		for _, i := range c.targets {
			names = append(names, t.Header[i])
		}
		return fmt.Errorf("%w%w", badf("%s: the labels may be the column %q, or the columns of 0 and 1 %s: --label-column or --label-columns says which",
			t.Path, t.Header[other], layout.First(names)), errRival)
	}
	if len(c.targets) > 0 && len(about) > 0 {
		c.notes = append(c.notes, fmt.Sprintf("columns of 0 and 1 that are no labels by their names: %s (--label-columns)", layout.First(about)))
	}
	if len(c.targets) == 0 {
		return badf("%s: neither a column \"label\" nor columns of 0 and 1 (--label-column): the columns are %s", t.Path, listed(t.Header))
	}
	if len(c.targets) > maxClasses {
		return badf("%s: %d columns of 0 and 1: at most %d labels are supported", t.Path, len(c.targets), maxClasses)
	}
	return nil
}

// errRival marks the error about a table that has labels, in one column or in others. It adds no text.
var errRival = errors.New("")

// rival returns a column that is not of 0 and 1, and may be of labels by its name and by how few values it has; -1: there is none.
func (c *columns) rival(t *table.Table) int {
	for i, name := range t.Header {
		plain := plainName(name)
		if i == c.path || i == c.group || i == c.split || isTarget(t, i) || !slices.ContainsFunc(labelWords, func(w string) bool { return strings.Contains(plain, w) }) {
			continue
		}
		if n := len(t.Values(i)); n > 1 && n <= maxClasses && 2*n <= len(t.Rows) {
			return i
		}
	}
	return -1
}

// wanted selects the columns named like the requested labels, if the task is multi-label.
func (c *columns) wanted(t *table.Table, opt Options) bool {
	if opt.LabelColumn != "" || opt.Task != MultiLabel || len(opt.Labels) == 0 {
		return false
	}
	for _, name := range opt.Labels {
		i := t.Column(name)
		if i < 0 {
			c.targets = nil
			return false
		}
		c.targets = append(c.targets, i)
	}
	return true
}

// parseTarget parses a value of a 0/1 label column: blank means absent, -1 uncertain.
func parseTarget(s string) (v float32, ok bool) {
	switch s {
	case "0", "":
		return 0, true
	case "1":
		return 1, true
	}
	if label.Missing(s) {
		return 0, true
	}
	switch strings.ToLower(s) {
	case "true":
		return 1, true
	case "false":
		return 0, true
	}
	switch f, err := strconv.ParseFloat(s, 32); {
	case err != nil:
	case f == 0:
		return 0, true
	case f == 1:
		return 1, true
	case f == -1:
		return Unknown, true
	}
	return 0, false
}

// isTarget reports whether a column contains only 0, 1, blanks and -1.
func isTarget(t *table.Table, column int) bool {
	some := false
	for _, row := range t.Rows {
		if _, ok := parseTarget(row[column]); !ok {
			return false
		}
		some = some || !label.Missing(row[column])
	}
	return some
}
