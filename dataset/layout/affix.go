package layout

import (
	"path"
	"slices"
	"strings"
)

// affix is what some file names have in addition to the names of the images beside them.
type affix struct {
	before, after string
}

// byAffix finds mask_7.png, 7_label.png, 7_lesion_mask (1).png beside 7.png, whatever the addition is: all
// names with the same addition belong to an image, they look like masks, and the images do not.
func (c *companions) byAffix(images []string) {
	if c.look == nil {
		return
	}
	added, of := map[affix][]string{}, map[affix][]string{}
	byStem := map[string]map[string]string{}
	for _, name := range images {
		dir := path.Dir(name)
		if byStem[dir] == nil {
			byStem[dir] = map[string]string{}
		}
		byStem[dir][strings.ToLower(stem(name))] = name
	}
	for _, name := range images {
		if c.out[name] {
			continue
		}
		base, a := longest(byStem[path.Dir(name)], strings.ToLower(stem(name)))
		if base == "" || c.out[base] {
			continue
		}
		added[a], of[a] = append(added[a], name), append(of[a], base)
	}
	for _, a := range commonest(added) {
		if names := added[a]; c.masks(names) && !c.masks(of[a]) {
			for _, name := range names {
				c.out[name] = true
			}
		}
	}
}

// longest finds the image with the longest stem that starts or ends another stem, if the rest contains a
// letter.
func longest(stems map[string]string, s string) (name string, a affix) {
	for n := len(s) - 1; n > 0; n-- {
		for _, cut := range [2]struct{ part, before, after string }{{s[:n], "", s[n:]}, {s[len(s)-n:], s[:len(s)-n], ""}} {
			other, ok := stems[cut.part]
			if ok && strings.ContainsFunc(cut.before+cut.after, isLetter) {
				return other, affix{before: withoutDigits(cut.before), after: withoutDigits(cut.after)}
			}
		}
	}
	return "", affix{}
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r > 127 }

func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s)
}

// commonest returns the most frequent additions, 64 at most.
func commonest(m map[affix][]string) []affix {
	const most = 64
	out := make([]affix, 0, len(m))
	for a := range m {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b affix) int {
		if d := len(m[b]) - len(m[a]); d != 0 {
			return d
		}
		return strings.Compare(a.before+"\x00"+a.after, b.before+"\x00"+b.after)
	})
	return out[:min(len(out), most)]
}
