package layout

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"melo.example/melo/dataset/label"
)

// splits reads a folder of splits. done reports whether it is one.
func (p *planner) splits(root *node, how Reading) (done bool, err error) {
	named, others := map[string][]*node{}, []*node(nil)
	order := []*node(nil)
	for _, d := range root.dirs {
		if s, ok := SplitName(d.name); ok {
			for len(d.dirs) == 1 && len(d.files) == 0 && imageFolder(d.dirs[0].name) && len(d.dirs[0].dirs) > 0 {
				d = &node{name: d.name, path: d.dirs[0].path, dirs: d.dirs[0].dirs, files: d.dirs[0].files, total: d.total}
			}
			named[s] = append(named[s], d)
			order = append(order, d)
		} else {
			others = append(others, d)
		}
	}
	if len(order) == 0 {
		if done, err := p.mixedNames(root); done || err != nil {
			return done, err
		}
		return p.within(root, how)
	}
	splitOf, err := p.assign(named)
	if err != nil {
		return false, err
	}
	classes, withClasses := map[string]bool{}, 0
	for _, d := range order {
		names := d.classNames()
		if len(names) > 0 {
			withClasses++
		}
		for name := range names {
			classes[name] = true
		}
	}
	if withClasses == 0 {
		return p.flat(root, order, others, how)
	}
	if how != Splits && len(order) == 1 && len(others) > 0 && !p.sameClasses(others, classes) {
		if len(order[0].classNames()) >= 2 {
			return false, &AmbiguousError{Readings: []string{
				fmt.Sprintf("%s is a split with the labels %s, and %s left out (--layout splits)", order[0].name, First(sortedNames(order[0].dirs)), isAre(others)),
				fmt.Sprintf("%s are labels (--layout classes)", First(sortedNames(root.dirs))),
			}}
		}
		return false, nil
	}
	for _, d := range order {
		for _, c := range d.dirs {
			p.take(c, c.name, splitOf[d])
		}
		if len(d.dirs) == 0 {
			p.leave(d.files, fmt.Sprintf("images of %s, without class folders", d.name))
		} else {
			p.loose(d)
		}
	}
	p.loose(root)
	p.leaveOthers(others, order)
	p.plan.Words = "by the name of the folder below the splits"
	return true, nil
}

// mixedNames reads folders at the top whose names contain more than the split: BUSI_train and BUSI_test with
// folders of the same labels in them, or train_normal and test_normal, trainA and testA with images only.
func (p *planner) mixedNames(root *node) (bool, error) {
	if len(root.dirs) < 2 {
		return false, nil
	}
	var taken []Image
	count, splits, classes := map[string]int{}, map[string]bool{}, map[string]map[string]bool{}
	take := func(n *node, class, split string) {
		splits[split] = true
		for _, name := range n.all() {
			taken = append(taken, Image{Name: name, Label: class, Split: split})
		}
		f := label.Fold(class)
		if classes[f] == nil {
			classes[f] = map[string]bool{}
		}
		classes[f][split] = true
		count[class] += n.total
	}
	below := len(root.dirs[0].dirs) > 0
	for _, d := range root.dirs {
		if below != (len(d.dirs) > 0) {
			return false, nil
		}
		split, class := splitAndRest(d.name)
		if split == "" || !below && class == "" {
			return false, nil
		}
		if !below {
			take(d, class, split)
		}
		for _, c := range d.dirs {
			take(c, c.name, split)
		}
	}
	everywhere := 0
	for _, in := range classes {
		if len(in) > 1 {
			everywhere++
		}
	}
	if len(splits) < 2 || everywhere < 2 {
		return false, nil
	}
	slices.SortStableFunc(taken, func(a, b Image) int { return comparePaths(a.Name, b.Name) })
	p.plan.Images = taken
	for class, n := range count {
		p.count[class] += n
	}
	p.loose(root)
	for _, d := range root.dirs {
		if below {
			p.loose(d)
		}
	}
	p.plan.Notes = append(p.plan.Notes, fmt.Sprintf("%s are splits by a word of their names (--layout classes if they are labels)", First(sortedNames(root.dirs))))
	p.plan.Words = "by the name of the folder below the splits"
	if !below {
		p.plan.Words = "by the name of the folder, which says the split, too"
	}
	return true, nil
}

// splitAndRest removes the word for a split from a name.
func splitAndRest(s string) (split, rest string) {
	if split, rest = glued(s); split != "" {
		return split, rest
	}
	split, _ = splitWord(s)
	if split == "" {
		return "", ""
	}
	kept := strings.FieldsFunc(s, func(r rune) bool { return r == '_' || r == '-' || r == ' ' || r == '.' })
	kept = slices.DeleteFunc(kept, func(w string) bool { return splitWords[strings.ToLower(w)] != "" || filler[strings.ToLower(w)] })
	return split, strings.Join(kept, "_")
}

// within looks one level deeper: if one of several folders contains splits, the others are left out with a
// note.
func (p *planner) within(root *node, how Reading) (bool, error) {
	var holders []*node
	for _, d := range root.dirs {
		for _, c := range d.dirs {
			if _, ok := SplitName(c.name); ok && len(c.classNames()) > 0 {
				holders = append(holders, d)
				break
			}
		}
	}
	if len(holders) != 1 || len(root.dirs) == 1 {
		return false, nil
	}
	if how != Splits {
		return false, &AmbiguousError{Readings: []string{
			fmt.Sprintf("%s has splits with labels below them (give that folder)", holders[0].name),
			fmt.Sprintf("%s are labels (--layout classes)", First(sortedNames(root.dirs))),
		}}
	}
	for _, d := range root.dirs {
		if d != holders[0] {
			p.leave(d.all(), "folder "+d.name)
		}
	}
	return p.splits(holders[0], how)
}

// assign determines the split of each folder. Two folders may not be the same split, except for eval beside
// val, which is test.
func (p *planner) assign(named map[string][]*node) (map[*node]string, error) {
	splitOf := map[*node]string{}
	for split, nodes := range named {
		if split == Val && len(nodes) == 2 && len(named[Test]) == 0 {
			if i := slices.IndexFunc(nodes, func(n *node) bool { return strings.Contains(strings.ToLower(n.name), "eval") }); i >= 0 {
				splitOf[nodes[i]], splitOf[nodes[1-i]] = Test, Val
				p.plan.Notes = append(p.plan.Notes, fmt.Sprintf("%s is the test split, %s the validation", nodes[i].name, nodes[1-i].name))
				continue
			}
		}
		if len(nodes) > 1 {
			return nil, fmt.Errorf("folders %s are all the %s split by their names: rename or move all but one", First(sortedNames(nodes)), split)
		}
		splitOf[nodes[0]] = split
	}
	return splitOf, nil
}

// flat handles folders that are named like splits and contain no folders.
func (p *planner) flat(root *node, order, others []*node, how Reading) (bool, error) {
	if len(others) > 0 && how != Splits && len(order) == 1 {
		// train/ beside the classes of a test set would contain classes: it is a label with the name of a
		// split.
		return false, &AmbiguousError{Readings: []string{
			fmt.Sprintf("%s are labels (--layout classes)", First(sortedNames(root.dirs))),
			fmt.Sprintf("%s is a split, whose images have no label (move it away)", order[0].name),
		}}
	}
	if len(others) > 0 {
		return false, &AmbiguousError{Readings: []string{
			fmt.Sprintf("%s are labels (--layout classes)", First(sortedNames(root.dirs))),
			fmt.Sprintf("%s are splits, whose images have no label (move them away)", First(sortedNames(order))),
		}}
	}
	return false, fmt.Errorf("folders %s are splits by their names, and no folders lie in them (if they are labels: --layout classes): %w",
		First(sortedNames(order)), ErrNoLabels)
}

// sameClasses reports whether a folder contains folders of the same names as the splits.
func (p *planner) sameClasses(others []*node, classes map[string]bool) bool {
	return slices.ContainsFunc(others, func(o *node) bool { return shared(o.classNames(), classes) > 0 })
}

// leaveOthers leaves out the folders beside splits, with a note.
func (p *planner) leaveOthers(others, splits []*node) {
	for _, o := range others {
		if copyOf(o, splits) {
			p.leave(o.all(), fmt.Sprintf("folder %s, a copy of the folders beside it", o.name))
		} else {
			p.leave(o.all(), fmt.Sprintf("folder %s, no split by its name", o.name))
		}
	}
}

// copyOf reports whether a folder contains the same files as the splits beside it.
func copyOf(o *node, splits []*node) bool {
	names := map[string]bool{}
	for _, s := range splits {
		for _, name := range s.all() {
			names[strings.TrimPrefix(name, path.Dir(s.path)+"/")] = true
		}
	}
	for _, name := range o.all() {
		if !names[strings.TrimPrefix(name, o.path+"/")] {
			return false
		}
	}
	return true
}

// splitsWithin reads splits below labels: CLASS/train, CLASS/test.
func (p *planner) splitsWithin(root *node) (bool, error) {
	if len(root.dirs) < 2 {
		return false, nil
	}
	var with, others []*node
	for _, d := range root.dirs {
		if len(d.dirs) > 0 && !slices.ContainsFunc(d.dirs, func(c *node) bool {
			_, ok := SplitName(c.name)
			return !ok || imageFolder(c.name)
		}) {
			with = append(with, d)
		} else {
			others = append(others, d)
		}
	}
	if len(with) < 2 {
		return false, nil
	}
	for _, d := range with {
		for _, c := range d.dirs {
			s, _ := SplitName(c.name)
			p.take(c, d.name, s)
		}
		p.loose(d)
	}
	for _, o := range others {
		p.leave(o.all(), fmt.Sprintf("folder %s, without splits in it as the folders beside it have", o.name))
	}
	p.loose(root)
	p.plan.Words = "by the name of the folder above the splits"
	return true, nil
}

func sortedNames(nodes []*node) []string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.name
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(label.Fold(a), label.Fold(b)) })
	return names
}

func isAre(nodes []*node) string {
	if len(nodes) == 1 {
		return nodes[0].name + " is"
	}
	return First(sortedNames(nodes)) + " are"
}
