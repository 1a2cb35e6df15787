package dataset

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/store"
	"melo.example/melo/dicom"
	"melo.example/melo/imaging"
)

// reasonUnlisted is the reason for leaving out images beside a DICOMDIR.
const reasonUnlisted = "images that the DICOMDIR does not list"

// mayBeObject reports whether a name may be that of a DICOM object without an extension. A number or a UID has
// none, even if it contains a dot.
func mayBeObject(name string) bool {
	ext := path.Ext(name)
	return ext == "" || isDigits(ext[1:])
}

// isDirectory reports whether a file is a DICOMDIR, by its name or its content.
func isDirectory(p string) bool {
	if !isRegular(p) || filepath.Ext(p) != "" && !strings.HasPrefix(strings.ToUpper(filepath.Base(p)), "DICOMDIR") && !layout.IsImage(p) {
		return false
	}
	head, err := store.Head(p, 512)
	if err != nil || !dicom.HasPreamble(head) {
		return false
	}
	f, _ := readObject(p) // even a truncated one counts
	return f != nil && dicom.IsDirectory(f)
}

func readObject(p string) (*dicom.File, error) {
	data, err := imaging.ReadFile(p, imaging.DefaultLimits)
	if err != nil {
		return nil, err
	}
	return dicom.Parse(data, p, dicom.Limits{})
}

// listing is the content of a DICOMDIR, and the folder it is in.
type listing struct {
	store   store.Store
	listed  map[string]bool // files that it lists, by their names in the store
	missing []string        // listed files that do not exist
}

// openDirectory reads a DICOMDIR and lists the files of its folder. Names on media are upper case, which copies
// often are not.
func openDirectory(p string) (*listing, error) {
	f, err := readObject(p)
	if err != nil {
		return nil, badf("%s: %v", p, err)
	}
	names, err := dicom.Listed(f)
	if err != nil {
		return nil, badf("%s: %v", p, err)
	}
	st, err := store.Open(filepath.Dir(p))
	if err != nil {
		return nil, badf("%v", err)
	}
	exact, folded := map[string]bool{}, map[string][]string{}
	for _, file := range st.Files() {
		exact[file.Name] = true
		folded[foldFile(file.Name)] = append(folded[foldFile(file.Name)], file.Name)
	}
	l := &listing{store: st, listed: map[string]bool{}}
	for _, name := range names {
		switch alike := folded[foldFile(name)]; {
		case exact[name]:
			l.listed[name] = true
		case len(alike) == 1:
			l.listed[alike[0]] = true
		default:
			l.missing = append(l.missing, name)
		}
	}
	return l, nil
}

// foldFile normalises a file name: it removes case, and the version suffix of some file systems.
func foldFile(name string) string { return strings.TrimSuffix(strings.ToLower(name), ";1") }

// where opens a folder, an archive, or the files of a folder that its DICOMDIR lists. Images that it does not
// list are left out.
func (o *opener) where(p string) (store.Store, error) {
	if !isDirectory(p) {
		st, err := store.Open(p)
		if err != nil {
			return nil, badf("%v", err)
		}
		return st, nil
	}
	l, err := openDirectory(p)
	if err != nil {
		return nil, err
	}
	if n := len(l.missing) + len(l.listed); len(l.missing) > 0 {
		text := fmt.Sprintf("%s: %d of %d listed files are not there", p, len(l.missing), n)
		if !o.opt.AllowMissing || len(l.listed) == 0 {
			return nil, badf("%s (--allow-missing leaves them out): %s", text, listed(l.missing))
		}
		o.d.notef("%s, and are left out: %s", text, layout.First(l.missing))
	}
	o.d.notef("%s lists %d files", filepath.Base(p), len(l.listed))
	o.listed = l.listed
	return store.Part(l.store, func(f store.File) bool {
		if l.listed[f.Name] || layout.Hidden(f.Name) || !o.isImage(l.store, f) {
			return true
		}
		if filepath.Clean(l.store.Path(f.Name)) != filepath.Clean(p) {
			o.d.leave(reasonUnlisted, f.Name)
		}
		return false
	}), nil
}

// isImage reports whether a file of a store counts as an image: by its name, because a DICOMDIR lists it, or
// because it is a DICOM object without an extension.
func (o *opener) isImage(st store.Store, f store.File) bool {
	return layout.IsImage(f.Name) || o.listed[f.Name] || mayBeObject(f.Name) && isDICOM(st, f)
}
