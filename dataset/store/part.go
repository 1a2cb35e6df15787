package store

// part holds some files of a store.
type part struct {
	Store
	files []File
}

func (p *part) Files() []File { return p.files }

// Part returns a store with those files of another for which keep returns true.
func Part(s Store, keep func(File) bool) Store {
	p := &part{Store: s}
	for _, f := range s.Files() {
		if keep(f) {
			p.files = append(p.files, f)
		}
	}
	return p
}
