package layout

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"melo.example/melo/dataset/label"
)

// Reading is an interpretation of folders as labels and splits.
type Reading string

// The readings. Auto determines the reading, and returns an error if there is more than one.
const (
	Auto    Reading = ""
	Classes Reading = "classes" // folders at the top are labels, whatever their names
	Splits  Reading = "splits"  // folders at the top with names of splits are splits; labels are below them
	Leaves  Reading = "leaves"  // the folder that contains an image is its label
)

// Image is an image with its label.
type Image struct {
	Name  string
	Label string
	Split string // Train, Val, Test, or ""
}

// Plan is the meaning of folders.
type Plan struct {
	Images   []Image // in store order
	LeftOut  []LeftOut
	Notes    []string // decisions, for people to read
	Warnings []string // doubts, for people to read
	Words    string   // how labels were found, such as "by the folders at the top"
}

// AmbiguousError reports folders with more than one interpretation.
type AmbiguousError struct {
	Readings []string // each with the option that selects it
}

// Error lists all readings.
func (e *AmbiguousError) Error() string {
	return "can be read in more than one way: " + strings.Join(e.Readings, "; or ")
}

// ErrNoLabels is wrapped by errors about folders whose names contain no labels.
var ErrNoLabels = errors.New("no label in the names of folders")

// node is a folder and its content.
type node struct {
	name  string
	path  string // relative to the root; "" for the root
	dirs  []*node
	files []string // images directly in it
	total int      // images below it
}

func tree(images []string) *node {
	root := &node{}
	at := map[string]*node{"": root}
	var folder func(p string) *node
	folder = func(p string) *node {
		if n := at[p]; n != nil {
			return n
		}
		up := path.Dir(p)
		if up == "." {
			up = ""
		}
		parent := folder(up)
		n := &node{name: path.Base(p), path: p}
		parent.dirs = append(parent.dirs, n)
		at[p] = n
		return n
	}
	for _, name := range images {
		dir := path.Dir(name)
		if dir == "." {
			dir = ""
		}
		n := folder(dir)
		n.files = append(n.files, name)
		for p := dir; ; p = path.Dir(p) {
			if p == "." {
				p = ""
			}
			at[p].total++
			if p == "" {
				break
			}
		}
	}
	return root
}

// all returns the images below n, in store order.
func (n *node) all() []string {
	out := slices.Clone(n.files)
	for _, d := range n.dirs {
		out = append(out, d.all()...)
	}
	return out
}

// classNames returns the folded names of the folders in n, except those with names for images.
func (n *node) classNames() map[string]bool {
	names := map[string]bool{}
	for _, d := range n.dirs {
		if !imageFolder(d.name) {
			names[label.Fold(d.name)] = true
		}
	}
	return names
}

// shared counts the names that two sets have in common.
func shared(a, b map[string]bool) int {
	n := 0
	for name := range a {
		if b[name] {
			n++
		}
	}
	return n
}

// planner makes a plan.
type planner struct {
	plan  Plan
	count map[string]int // number of images per label as spelled
}

// Folders determines what the folders of images mean. Names that differ only in case or composed letters are
// the same label.
func Folders(images []string, how Reading) (*Plan, error) {
	p := &planner{count: map[string]int{}}
	root := tree(images)
	if err := p.read(root, how); err != nil {
		return nil, err
	}
	to, notes := label.Merge(p.count)
	p.plan.Notes = append(p.plan.Notes, notes...)
	for i := range p.plan.Images {
		p.plan.Images[i].Label = to[p.plan.Images[i].Label]
	}
	slices.SortStableFunc(p.plan.LeftOut, func(a, b LeftOut) int { return strings.Compare(a.Reason, b.Reason) })
	return &p.plan, nil
}

func (p *planner) read(root *node, how Reading) error {
	switch how {
	case Auto, Splits, Classes, Leaves:
	default:
		return fmt.Errorf("reading %q: expected classes, splits or leaves", how)
	}
	// Unpacked archives are often in a single folder.
	for len(root.dirs) == 1 && len(root.files) == 0 && len(root.dirs[0].dirs) > 0 && how != Classes {
		root = root.dirs[0]
	}
	if how == Leaves {
		return p.leaves(root)
	}
	if how != Classes {
		p.withoutLabels(root)
		for _, d := range root.dirs {
			p.withoutLabels(d)
		}
		if done, err := p.splits(root, how); done || err != nil {
			return err
		}
		if how == Splits {
			return fmt.Errorf("no folder with the name of a split has class folders: %w", ErrNoLabels)
		}
		if done, err := p.splitsWithin(root); done || err != nil {
			return err
		}
		if err := p.secondTrees(root); err != nil {
			return err
		}
		if err := nested(root); err != nil {
			return err
		}
	}
	return p.classes(root)
}

// take adds the images below a folder as samples.
func (p *planner) take(n *node, class, split string) {
	for _, name := range n.all() {
		p.plan.Images = append(p.plan.Images, Image{Name: name, Label: class, Split: split})
	}
	p.count[class] += n.total
}

// leave leaves out images with a reason.
func (p *planner) leave(names []string, reason string) {
	for _, name := range names {
		p.plan.LeftOut = append(p.plan.LeftOut, LeftOut{name, reason})
	}
}

func (p *planner) classes(root *node) error {
	if len(root.dirs) == 0 {
		return ErrNoLabels
	}
	var names []string
	for _, d := range root.dirs {
		p.take(d, d.name, "")
		names = append(names, d.name)
	}
	p.loose(root)
	if inner := innerNames(root); inner != "" {
		p.plan.Warnings = append(p.plan.Warnings, "folders lie in the folders of the labels: if they are the labels, such as "+inner+": --layout leaves")
	}
	if caseNames(names) {
		p.plan.Warnings = append(p.plan.Warnings, fmt.Sprintf("the labels are the names of folders that look like numbers of patients or cases: %s", First(names)))
	}
	p.plan.Words = "by the name of the folder at the top"
	return nil
}

// innerNames returns an example of folders that could also be the labels, if every folder at the top contains
// several folders and no images. Folders that only divide images do not count.
func innerNames(root *node) string {
	var names []string
	for _, d := range root.dirs {
		if len(d.dirs) < 2 || len(d.files) > 0 {
			return ""
		}
		for _, c := range d.dirs {
			if PartName(c.name) {
				return ""
			}
		}
		names = append(names, sortedNames(d.dirs)...)
	}
	if len(root.dirs) < 2 || caseNames(names) {
		return ""
	}
	return First(names)
}

// loose leaves out images beside class folders.
func (p *planner) loose(n *node) {
	if len(n.files) > 0 {
		p.leave(n.files, "images beside the class folders, without a label")
	}
}

func (p *planner) leaves(n *node) error {
	if len(n.dirs) == 0 && n.path == "" {
		return ErrNoLabels
	}
	var walk func(n *node, split string)
	walk = func(n *node, split string) {
		if s, ok := SplitName(n.name); ok && len(n.dirs) > 0 && !imageFolder(n.name) {
			split = s
		}
		if len(n.files) > 0 {
			class := n.name
			if imageFolder(class) && path.Dir(n.path) != "." {
				class = path.Base(path.Dir(n.path))
			}
			p.take(&node{files: n.files, total: len(n.files)}, class, split)
		}
		for _, d := range n.dirs {
			walk(d, split)
		}
	}
	if n.path == "" && len(n.files) > 0 {
		p.loose(n)
		n.files = nil
	}
	walk(n, "")
	slices.SortStableFunc(p.plan.Images, func(a, b Image) int { return comparePaths(a.Name, b.Name) })
	p.plan.Words = "by the name of the innermost folder"
	return nil
}

// comparePaths orders paths as store.Compare does.
func comparePaths(a, b string) int {
	return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
}

// withoutLabels leaves out folders whose names say that their images have no label.
func (p *planner) withoutLabels(n *node) {
	n.dirs = slices.DeleteFunc(n.dirs, func(d *node) bool {
		if !unlabelled(d.name) {
			return false
		}
		p.leave(d.all(), fmt.Sprintf("folder %s, without labels by its name", d.name))
		n.total -= d.total
		return true
	})
}

// secondTrees handles folders beside labels that contain folders named like the labels. A copy of the others is
// left out. One with other files, for example augmented ones, is ambiguous: more images of the labels, a label,
// or neither.
func (p *planner) secondTrees(root *node) error {
	var plain, trees []*node
	names := map[string]bool{}
	for _, d := range root.dirs {
		names[label.Fold(d.name)] = true
	}
	for _, d := range root.dirs {
		classes := d.classNames()
		if n := shared(classes, names); n >= 2 || n == 1 && len(classes) == 1 {
			trees = append(trees, d)
		} else {
			plain = append(plain, d)
		}
	}
	if len(trees) == 0 || len(plain) < 2 {
		return nil
	}
	for _, d := range trees {
		if !copyOf(d, plain) {
			return &AmbiguousError{Readings: []string{
				fmt.Sprintf("%s has folders of the labels %s in it, with more images of these (--layout leaves)", d.name, First(sortedNames(plain))),
				fmt.Sprintf("%s is a label itself (--layout classes)", d.name),
				fmt.Sprintf("%s is none of the data (move it away)", d.name),
			}}
		}
		p.leave(d.all(), fmt.Sprintf("folder %s, a copy of the folders beside it", d.name))
	}
	root.dirs = plain
	return nil
}

// nested returns an error if the folders at the top all contain folders with the same names: either level could
// be the labels.
func nested(root *node) error {
	if len(root.dirs) < 2 {
		return nil
	}
	common := root.dirs[0].classNames()
	for _, d := range root.dirs[1:] {
		names := d.classNames()
		for name := range common {
			if !names[name] {
				delete(common, name)
			}
		}
	}
	var top []string
	for _, d := range root.dirs {
		top = append(top, d.name)
	}
	for name := range common {
		if strings.Trim(name, "0123456789") == "" && !caseNames(top) { // numbers of patients or series
			delete(common, name)
		}
	}
	if len(common) < 2 {
		return nil
	}
	var outer, inner []string
	for _, d := range root.dirs {
		outer = append(outer, d.name)
	}
	for _, d := range root.dirs[0].dirs {
		if common[label.Fold(d.name)] {
			inner = append(inner, d.name)
		}
	}
	return &AmbiguousError{Readings: []string{
		fmt.Sprintf("the labels are the folders at the top, %s (--layout classes)", First(outer)),
		fmt.Sprintf("the labels are the innermost folders, such as %s (--layout leaves)", First(inner)),
	}}
}
