package dataset

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// openFolders reads class folders: root/CLASS/..., or root/{train,val,test}/CLASS/... when every folder in
// root has the name of a split.
func openFolders(root string, opt Options) (*Dataset, error) {
	folders, err := subfolders(root)
	if err != nil {
		return nil, err
	}
	if len(folders) == 0 {
		return nil, badf("%s: neither labels.csv nor class folders", root)
	}
	f := folderReader{d: &Dataset{Root: root}}
	split := true
	for _, name := range folders {
		_, ok := splitName(name)
		split = split && ok
	}
	if !split {
		err = f.readSplit(root, "", folders)
	}
	for _, name := range folders {
		if !split || err != nil {
			break
		}
		var classes []string
		dir := filepath.Join(root, name)
		if classes, err = subfolders(dir); err == nil {
			s, _ := splitName(name)
			err = f.readSplit(dir, s, classes)
		}
	}
	if err != nil {
		return nil, err
	}
	return f.finish(opt)
}

// subfolders returns the names of the visible folders in dir, sorted.
func subfolders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); name[0] != '.' && isFolder(dir, e) {
			names = append(names, name)
		}
	}
	return names, nil
}

// isFolder follows symbolic links.
func isFolder(dir string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	st, err := os.Stat(filepath.Join(dir, e.Name()))
	return err == nil && st.IsDir()
}

// folderReader collects samples, with the names of their labels beside them.
type folderReader struct {
	d       *Dataset
	labels  []string
	ignored int
}

// readSplit takes every image below dir/CLASS.
func (f *folderReader) readSplit(dir, split string, classes []string) error {
	if len(classes) == 0 {
		return badf("%s: no class folders", dir)
	}
	for _, class := range classes {
		n := len(f.d.Samples)
		// The trailing separator makes the walk enter a symbolic link.
		err := filepath.WalkDir(filepath.Join(dir, class)+string(filepath.Separator), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return fmt.Errorf("dataset: %w", err)
			}
			if e.IsDir() {
				return nil
			}
			if !isImage(e.Name()) {
				f.ignored++
				return nil
			}
			rel, err := filepath.Rel(f.d.Root, path)
			if err != nil {
				return fmt.Errorf("dataset: %w", err)
			}
			f.d.Samples = append(f.d.Samples, Sample{Path: filepath.ToSlash(rel), Split: split})
			f.labels = append(f.labels, class)
			return nil
		})
		if err != nil {
			return err
		}
		if len(f.d.Samples) == n {
			return badf("%s: class folder without images", filepath.Join(dir, class))
		}
	}
	return nil
}

// finish turns label names into indices.
func (f *folderReader) finish(opt Options) (*Dataset, error) {
	found := slices.Compact(slices.Sorted(slices.Values(f.labels)))
	f.d.setLabels(found, opt)
	for i, name := range f.labels {
		l := slices.Index(f.d.Labels, name)
		if l < 0 {
			return nil, badf("%s: class folder %q: expected one of %s", f.d.Root, name, listed(f.d.Labels))
		}
		f.d.Samples[i].Label = l
	}
	if f.ignored > 0 {
		f.d.warnf("%s: %d files are not images by their names and are ignored", f.d.Root, f.ignored)
	}
	return f.d, nil
}
