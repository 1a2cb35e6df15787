package store

import (
	"fmt"
	"os"
	"path/filepath"

	"melo.example/melo/imaging"
)

// maxNesting limits the depth of nested folders.
const maxNesting = 64

type folder struct {
	root  string
	files []File
}

func openFolder(root string) (Store, error) {
	f := &folder{root: root}
	if err := f.walk("", 0, nil); err != nil {
		return nil, err
	}
	sortFiles(f.files)
	return f, nil
}

// walk lists the files below a folder. It follows symbolic links, but never to a folder that it is inside of.
func (f *folder) walk(dir string, depth int, above []os.FileInfo) error {
	if depth > maxNesting {
		return fmt.Errorf("%s: folders lie more than %d deep: %w", f.Path(dir), maxNesting, ErrTooLarge)
	}
	here, err := os.Stat(f.Path(dir))
	if err != nil {
		return err
	}
	for _, a := range above {
		if os.SameFile(a, here) {
			return nil
		}
	}
	above = append(above, here)
	entries, err := os.ReadDir(f.Path(dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if dir != "" {
			name = dir + "/" + name
		}
		info, err := os.Stat(f.Path(name))
		switch {
		case err != nil:
			if !os.IsNotExist(err) && depth == 0 {
				return err
			}
			continue // a broken link
		case info.IsDir():
			if err := f.walk(name, depth+1, above); err != nil {
				return err
			}
		case len(f.files) >= MaxFiles:
			return fmt.Errorf("%s: more than %d files: %w", f.root, MaxFiles, ErrTooLarge)
		default:
			f.files = append(f.files, File{name, info.Size()})
		}
	}
	return nil
}

func (f *folder) Root() string  { return f.root }
func (f *folder) Files() []File { return f.files }
func (f *folder) Close() error  { return nil }

func (f *folder) Path(name string) string {
	path := filepath.FromSlash(name)
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(f.root, path)
}

func (f *folder) Head(name string, n int) ([]byte, error) { return Head(f.Path(name), n) }

func (f *folder) Read(name string, limit int64) ([]byte, error) {
	return imaging.ReadFile(f.Path(name), imaging.Limits{MaxFileBytes: limit})
}
