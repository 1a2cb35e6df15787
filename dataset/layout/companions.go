package layout

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Look reports whether an image looks like a mask: few colours, or black and white. It is called if names alone
// do not decide.
type Look func(name string) bool

// LeftOut is a file that is not a sample, with one of the reasons below or another text.
type LeftOut struct {
	Name   string
	Reason string
}

// Reasons for leaving files out.
const (
	ReasonHidden = "hidden, or left behind by a system"
	ReasonMask   = "masks and other companions of images"
	ReasonOther  = "not images by their names"
)

// looked is the number of files of a folder to examine, and alikeFolders the number of folders with the same
// name, before the rest is assumed to be alike.
const (
	looked       = 6
	alikeFolders = 16
)

// Companions separates images from files that belong to them, such as masks. Images are in store order.
func Companions(images []string, look Look) (kept []string, left []LeftOut, notes []string) {
	c := companions{look: look, out: map[string]bool{}, stems: map[string]map[string]bool{}, below: map[string][]string{}}
	for _, name := range images {
		dir := path.Dir(name)
		for up := dir; up != "."; up = path.Dir(up) {
			c.below[up] = append(c.below[up], name)
		}
		if c.stems[dir] == nil {
			c.stems[dir] = map[string]bool{}
			c.dirs = append(c.dirs, dir)
		}
		c.stems[dir][stem(name)] = true
	}
	c.byName(images)
	c.byFolder()
	c.byExtension(images)
	c.byAffix(images)
	for _, name := range images {
		if c.out[name] {
			left = append(left, LeftOut{name, ReasonMask})
		} else {
			kept = append(kept, name)
		}
	}
	return kept, left, c.notes
}

type companions struct {
	look  Look
	out   map[string]bool
	dirs  []string
	stems map[string]map[string]bool // stems of the images in each folder
	below map[string][]string        // images below each folder other than the root
	notes []string
}

// byName finds x_mask.png beside x.png.
func (c *companions) byName(images []string) {
	var orphans []string
	for _, name := range images {
		of, ok := maskStem(stem(name))
		switch {
		case !ok:
		case c.stems[path.Dir(name)][of]:
			c.out[name] = true
		default:
			orphans = append(orphans, name)
		}
	}
	if len(orphans) > 0 && len(c.out) > 0 {
		c.notes = append(c.notes, fmt.Sprintf("%d images have names of masks, but no image stands beside them: %s", len(orphans), First(orphans)))
	}
}

// byFolder finds folders of masks: their name says so, and their files are named like images in a sibling
// folder, or look like masks.
func (c *companions) byFolder() {
	beside := map[string][]string{} // folders by parent
	for _, dir := range allDirs(c.dirs) {
		beside[path.Dir(dir)] = append(beside[path.Dir(dir)], dir)
	}
	seen := map[string]*alike{}
	for _, dir := range allDirs(c.dirs) {
		near := beside[path.Dir(dir)]
		if dir == "." || !c.companion(dir, near, seen) {
			continue
		}
		for _, name := range c.below[dir] {
			c.out[name] = true
		}
	}
}

// alike counts folders of the same name by whether they contained masks.
type alike struct{ yes, no int }

// companion reports whether a folder contains masks. If its name does not say so and images are beside it, some
// folders of that name are examined.
func (c *companions) companion(dir string, beside []string, seen map[string]*alike) bool {
	if maskFolder(path.Base(dir)) {
		return c.companionFolder(dir, beside)
	}
	images := c.imagesBeside(dir, beside)
	if len(images) == 0 {
		return false
	}
	name := strings.ToLower(path.Base(dir))
	n := seen[name]
	if n == nil {
		n = &alike{}
		seen[name] = n
	}
	if n.yes+n.no >= alikeFolders && (n.yes == 0 || n.no == 0) {
		return n.yes > 0
	}
	if !c.masks(c.below[images[0]]) && c.companionFolder(dir, beside) {
		n.yes++
		return true
	}
	n.no++
	return false
}

// imagesBeside returns the sibling folders with a name for images. It returns none if the folder itself has
// such a name, or that of a split.
func (c *companions) imagesBeside(dir string, beside []string) (out []string) {
	if _, split := SplitName(path.Base(dir)); split || imageFolder(path.Base(dir)) {
		return nil
	}
	for _, b := range beside {
		if imageFolder(path.Base(b)) && len(c.below[b]) > 0 {
			out = append(out, b)
		}
	}
	return out
}

// companionFolder decides for a folder that is named like masks, or is beside one of images.
func (c *companions) companionFolder(dir string, beside []string) bool {
	others := map[string]bool{}
	named := false // a folder of images or of a split is beside it, so it is not a label
	for _, b := range beside {
		if b == dir {
			continue
		}
		_, split := SplitName(path.Base(b))
		named = named || imageFolder(path.Base(b)) || split
		for _, name := range c.below[b] {
			others[stem(name)] = true
		}
	}
	if named && maskFolder(path.Base(dir)) {
		return true
	}
	inside, paired := c.below[dir], 0
	for _, name := range inside {
		s := stem(name)
		of, ok := maskStem(s)
		if others[s] || ok && others[of] {
			paired++
		}
	}
	return 2*paired >= len(inside) && c.masks(inside)
}

// masks reports whether most of some images look like masks.
func (c *companions) masks(images []string) bool {
	if c.look == nil {
		return false
	}
	n, yes := 0, 0
	step := max(len(images)/looked, 1)
	for i := 0; i < len(images) && n < looked; i += step {
		n++
		if c.look(images[i]) {
			yes++
		}
	}
	return 4*yes >= 3*n
}

// byExtension finds 001.bmp beside 001.png. If all files with one extension look like masks and those with the
// other do not, they are masks.
func (c *companions) byExtension(images []string) {
	type pair struct{ dir, ext string }
	// images of each folder that share a stem with another one, by extension
	kinds := map[string]map[string][]string{}
	seen := map[string][]string{}
	for _, name := range images {
		if !c.out[name] {
			key := path.Dir(name) + "/" + stem(name)
			seen[key] = append(seen[key], name)
		}
	}
	for _, names := range seen {
		if len(names) < 2 {
			continue
		}
		for _, name := range names {
			dir := path.Dir(name)
			if kinds[dir] == nil {
				kinds[dir] = map[string][]string{}
			}
			ext := strings.ToLower(path.Ext(name))
			kinds[dir][ext] = append(kinds[dir][ext], name)
		}
	}
	var twins []string
	for _, dir := range c.dirs {
		masks, others := []pair{}, 0
		for ext, names := range kinds[dir] {
			slices.Sort(names)
			if c.masks(names) {
				masks = append(masks, pair{dir, ext})
			} else {
				others++
			}
		}
		if others > 0 {
			for _, m := range masks {
				for _, name := range kinds[m.dir][m.ext] {
					c.out[name] = true
				}
			}
		}
		if others > 1 {
			for _, names := range kinds[dir] {
				twins = append(twins, names...)
			}
		}
	}
	if len(twins) > 0 {
		slices.SortFunc(twins, strings.Compare)
		c.notes = append(c.notes, fmt.Sprintf("%d images share their name with one of another extension, and may be one picture twice: %s", len(twins), First(twins)))
	}
}

// allDirs returns the folders and their ancestors, without the root, sorted.
func allDirs(dirs []string) []string {
	seen := map[string]bool{}
	for _, dir := range dirs {
		for ; dir != "." && !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
		}
	}
	out := make([]string, 0, len(seen))
	for dir := range seen {
		out = append(out, dir)
	}
	slices.Sort(out)
	return out
}

// First joins at most three items, and says how many more there are.
func First(items []string) string {
	const most = 3
	if len(items) <= most {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
}
