package dataset

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"melo.example/melo/dataset/layout"
)

// naming is a way in which paths of images tell the patient.
type naming struct {
	group func(name string) string // empty: the path is not of this form
	note  string                   // with a place for an example
	// restarts tells that a patient's number may begin anew in each published split, so that an equal number
	// in two splits need not be one patient.
	restarts bool
}

// stem matches the name of an image without folders and extension, and returns the first group.
func stem(pattern string) func(string) string {
	re := regexp.MustCompile(pattern)
	return func(name string) string {
		base := path.Base(name)
		if m := re.FindStringSubmatch(strings.TrimSuffix(base, path.Ext(base))); m != nil {
			return m[1]
		}
		return ""
	}
}

var patientFolder = regexp.MustCompile(`(?:^|/)((?:patient|subject|pat)[-_ ]?\d+)/`)

const byName = "patients are told by the names of their images, such as %q"

// namings are the forms of published data sets. One counts where every image has it.
var namings = []naming{
	{group: func(name string) string {
		if m := patientFolder.FindStringSubmatch(strings.ToLower(name)); m != nil {
			return m[1]
		}
		return ""
	}, note: "patients are told by the folders of their images, such as %q"},
	{group: stem(`^(.+)_(?:left|right)$`), note: byName + " of a left and a right eye"},
	{group: stem(`^\d+_([0-9a-f]{16})_MG_[LR]_(?:CC|ML|MLO)_`), note: byName},               // INbreast
	{group: stem(`^SOB_[BM]_[A-Z]+-(\d+-\d+[A-Z]*)-(?:40|100|200|400)-\d+$`), note: byName}, // BreakHis
	{group: stem(`^(?:CNV|DME|DRUSEN|NORMAL)-(\d+)-\d+$`), note: byName, restarts: true},
	{group: stem(`^(person\d+|(?:NORMAL2-)?IM-\d+)[-_].*\d$`), note: byName, restarts: true}, // Kermany's chest X-rays
}

// patients sets the groups of records that have none: by the pattern of the options, or by the form of published names.
func (d *Dataset) patients(records []Record, opt Options) error {
	if opt.GroupPattern != "" {
		return d.groupBy(records, opt.GroupPattern)
	}
	if slices.ContainsFunc(records, func(r Record) bool { return r.Group != "" }) || len(records) == 0 {
		return nil
	}
	groups := make([]string, len(records))
	for _, n := range namings {
		all := true
		for i := range records {
			groups[i] = n.group(records[i].Path)
			all = all && groups[i] != ""
		}
		if !all {
			continue
		}
		d.notef(n.note, groups[0])
		if n.restarts {
			d.separate(records, groups)
		}
		for i := range records {
			records[i].Group = groups[i]
		}
		return nil
	}
	d.hintPattern(records)
	return nil
}

// separate tells equal groups of different given splits apart, and warns of them.
func (d *Dataset) separate(records []Record, groups []string) {
	split := map[string]string{}
	torn := map[string]bool{}
	for i, g := range groups {
		if s, ok := split[g]; ok && s != records[i].Split {
			torn[g] = true
		}
		split[g] = records[i].Split
	}
	var names []string
	for i, g := range groups {
		if torn[g] {
			groups[i] = records[i].Split + "/" + g
			names = append(names, g)
		}
	}
	if len(torn) > 0 {
		slices.Sort(names)
		d.warnf("%d patients have images in several of the given splits, unless numbers begin anew in each: %s", len(torn), layout.First(slices.Compact(names)))
	}
}

// groupBy takes the group of each image from its path.
func (d *Dataset) groupBy(records []Record, pattern string) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return badf("group pattern %q: %v", pattern, err)
	}
	var missed []string
	seen := map[string]bool{}
	for i := range records {
		m := re.FindStringSubmatch(records[i].Path)
		if m == nil {
			missed = append(missed, records[i].Path)
			continue
		}
		if len(m) > 1 {
			m = m[1:]
		}
		g := strings.Join(m, "/")
		records[i].Group = g
		seen[g] = true
	}
	if len(missed) > 0 {
		return badf("group pattern %q: %d of %d images do not match it: %s", pattern, len(missed), len(records), layout.First(missed))
	}
	d.notef("--group-pattern makes %d groups, such as %q", len(seen), records[0].Group)
	return nil
}

// prefixed is a name that ends in a number behind something with a digit in it.
var prefixed = regexp.MustCompile(`^(.*\d.*)[-_. ]\d+$`)

// hintPattern notes where names look as if several images were of one patient.
func (d *Dataset) hintPattern(records []Record) {
	of := map[string][]string{}
	for i := range records {
		name := path.Base(records[i].Path)
		name = strings.TrimSuffix(name, path.Ext(name))
		if m := prefixed.FindStringSubmatch(name); m != nil {
			of[m[1]] = append(of[m[1]], name)
		}
	}
	several, largest := 0, 0
	var example []string
	for _, names := range of {
		largest = max(largest, len(names))
		if len(names) > 1 {
			several += len(names)
			slices.Sort(names)
			if names = slices.Compact(names); len(names) > 1 && (example == nil || names[0] < example[0]) {
				example = names
			}
		}
	}
	// A prefix that all images of a label share is the label's name. One image with a prefix of its own is no group.
	if example != nil && len(of) >= 5 && 2*several >= len(records) && 5*largest <= len(records) {
		d.notef(`%q and %q may be of one patient: --group-pattern '([^/]*)[-_. ][0-9]+[.][^.]*$' keeps such images on one side of a split`,
			example[0], example[1])
	}
}
