package store

// part are some files of a store.
type part struct {
	Store
	files []File
}

func (p *part) Files() []File { return p.files }

// Part is a store of those files of another that keep takes.
func Part(s Store, keep func(File) bool) Store {
	p := &part{Store: s}
	for _, f := range s.Files() {
		if keep(f) {
			p.files = append(p.files, f)
		}
	}
	return p
}
