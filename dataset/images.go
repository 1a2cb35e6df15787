package dataset

import (
	"os"
	"path/filepath"

	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/store"
)

// Images lists the image files under paths: files as given, and for folders all images below them, in order. In
// folders it leaves out hidden files, companions of images such as masks, and files whose names are not those
// of images.
func Images(paths []string) (files []string, left []LeftOut, err error) {
	for _, p := range paths {
		st, err := os.Stat(p)
		if err == nil && isDirectory(p) {
			listed, out, err := listedImages(p)
			if err != nil {
				return nil, nil, err
			}
			files, left = append(files, listed...), append(left, out...)
			continue
		}
		if err != nil || !st.IsDir() {
			files = append(files, p) // errors in the file are reported when it is read
			continue
		}
		folder, err := store.Open(p)
		if err != nil {
			return nil, nil, badf("%v", err)
		}
		o := opener{d: &Dataset{Root: p}}
		c := o.look(folder)
		kept, masks, _ := layout.Companions(c.images, o.mask(folder))
		if len(kept) == 0 {
			return nil, nil, badf("%s: no images in this folder or below it", p)
		}
		for _, name := range kept {
			files = append(files, folder.Path(name))
		}
		left = append(append(left, o.d.LeftOut...), masks...)
		for _, name := range c.names {
			left = append(left, LeftOut{Name: name, Reason: layout.ReasonOther})
		}
	}
	return files, left, nil
}

// listedImages returns the files that a DICOMDIR lists, including missing ones, and the images beside them.
func listedImages(p string) (files []string, left []LeftOut, err error) {
	l, err := openDirectory(p)
	if err != nil {
		return nil, nil, err
	}
	o := opener{d: &Dataset{}}
	for _, f := range l.store.Files() {
		switch {
		case l.listed[f.Name]:
			files = append(files, l.store.Path(f.Name))
		case !layout.Hidden(f.Name) && o.isImage(l.store, f) && filepath.Clean(l.store.Path(f.Name)) != filepath.Clean(p):
			left = append(left, LeftOut{Name: f.Name, Reason: reasonUnlisted})
		}
	}
	for _, name := range l.missing {
		files = append(files, l.store.Path(name)) // a missing file is reported when it is read
	}
	return files, left, nil
}

// LeftOutWords summarises left-out files in lines: the number of files for each reason, and the first of them.
func LeftOutWords(left []LeftOut) []string { return (&Dataset{LeftOut: left}).LeftOutWords() }
