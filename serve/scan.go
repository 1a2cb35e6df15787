package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"melo.example/melo/internal/memo"
)

// file is an adapter file as it was seen last.
type file struct {
	path, name, version string
	key                 string    // what tells that it was written again
	settled             bool      // key is old enough to tell
	seen                time.Time // when it was seen first with that key
	modified            time.Time
	content             *content // what it holds or, with err, what it held and memory still has
	err                 error
}

// Watch scans the folder every period until ctx ends. Files are compared by size, times and number, so that folders
// on network drives work alike; what was written within two seconds of a look is looked at again. A period of 0 is
// never.
func (r *Registry) Watch(ctx context.Context, period time.Duration) {
	if period <= 0 {
		return
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.ctx.Done():
			return
		case <-tick.C:
			r.Scan(ctx) // Err has what went wrong; the next look may go right
		}
	}
}

// Scan brings the registry up to date with its folder. The error is about the folder: then everything stays as it
// was. A file that cannot be used is no error, but stands in the list with the reason.
func (r *Registry) Scan(ctx context.Context) error {
	r.admin.Lock()
	defer r.admin.Unlock()
	if r.dir == "" {
		return nil
	}
	found, err := os.ReadDir(r.dir)
	if err != nil {
		r.scanErr = fmt.Errorf("serve: adapters: %w", err)
		return r.scanErr
	}
	r.scanErr = nil
	paths := map[string]bool{}
	for _, d := range found {
		if _, _, ok := fileName(d.Name()); ok {
			paths[filepath.Join(r.dir, d.Name())] = true
		}
	}
	for path := range r.files {
		paths[path] = true
	}
	return r.look(ctx, slices.Sorted(maps.Keys(paths)))
}

// settledAfter is how long a file must have looked the same to be taken as written.
const settledAfter = 2 * time.Second

// look reads those of the files that have changed and publishes what there is; r.admin is held.
func (r *Registry) look(ctx context.Context, paths []string) error {
	fresh := make([]*file, len(paths))
	var group errgroup.Group
	group.SetLimit(cap(r.loading))
	for i, path := range paths {
		old := r.files[path]
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
			continue
		}
		if err != nil { // no permission, say: what it held goes on as long as memory has it
			fresh[i] = r.newFile(path, old)
			fresh[i].fail(err)
			continue
		}
		key, settled := memo.FileKey(path, info)
		seen := time.Now()
		if old != nil && old.key == key {
			if old.settled {
				fresh[i] = old
				continue
			}
			seen = old.seen
		}
		settled = settled || time.Since(seen) > settledAfter // the file's clock may be ahead of ours
		group.Go(func() error {
			f := r.newFile(path, old)
			f.key, f.settled, f.seen, f.modified = key, settled, seen, info.ModTime()
			if ctx.Err() == nil {
				r.readFile(f)
				fresh[i] = f
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if slices.Contains(fresh, nil) { // were they removed, or has the folder gone away just now?
		if _, err := os.ReadDir(r.dir); err != nil {
			r.scanErr = fmt.Errorf("serve: adapters: %w", err)
			return r.scanErr
		}
	}
	changed := false
	for i, path := range paths {
		changed = changed || r.files[path] != fresh[i]
		if fresh[i] == nil {
			delete(r.files, path)
		} else {
			r.files[path] = fresh[i]
		}
	}
	if changed {
		r.publish()
	}
	return nil
}

// newFile is the record of path, with the content that memory has of it.
func (r *Registry) newFile(path string, old *file) *file {
	f := &file{path: path}
	f.name, f.version, _ = fileName(path)
	if old != nil {
		f.content = old.content
	}
	return f
}

// fail notes why the file cannot be used. What it held before stays while memory has it.
func (f *file) fail(err error) {
	f.err = err
	if f.content != nil && f.content.live.Load() == nil {
		f.content = nil
	}
}

// readFile reads the file and checks it. It may be called for several files at once.
func (r *Registry) readFile(f *file) {
	parsed, err := r.reader.read(f.path)
	if err != nil {
		f.fail(err)
		return
	}
	if f.content == nil || f.content.digest != parsed.Digest {
		f.content = r.reader.content(parsed)
	}
}

// refresh looks again at the files of one name, and at path.
func (r *Registry) refresh(ctx context.Context, name string) error {
	r.admin.Lock()
	defer r.admin.Unlock()
	paths := []string{filepath.Join(r.dir, name+extension)}
	found, err := filepath.Glob(filepath.Join(escapeGlob(r.dir), escapeGlob(name)+"@*"+extension))
	if err != nil {
		return err
	}
	paths = append(paths, found...)
	for path, f := range r.files {
		if f.name == name {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return r.look(ctx, slices.Compact(paths))
}

// escapeGlob quotes what has a meaning in a pattern.
func escapeGlob(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		switch s[i] {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, s[i])
	}
	return string(out)
}
