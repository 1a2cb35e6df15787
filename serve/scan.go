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

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/ensemble"
	"melo.example/melo/lora/trust"
	"melo.example/melo/memo"
)

// file is an adapter file as last seen.
type file struct {
	path, name, version string
	key                 string    // changes whenever the file is written
	settled             bool      // key is old enough to be reliable
	seen                time.Time // when it was first seen with this key
	modified            time.Time
	content             *content       // its content, or, with err, its previous content if that is still in memory
	list                *ensemble.List // of an ensemble, whose content follows from those of its members
	signatures          []byte         // signatures that accompanied content
	signers             []string       // signers of content, according to the policy
	policy              *trust.Policy
	err                 error
	look                uint64 // number of the scan that found it
}

// Watch scans the folder every period until ctx is cancelled. Files are compared by size, times and inode
// number, which also works on network drives; a file modified within two seconds before a scan is examined
// again. A period of 0 disables it.
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
			_ = r.Scan(ctx) // Err returns the error; the next scan may succeed
		}
	}
}

// Scan updates the registry from its folder. The error is about the folder, and means that nothing has changed.
// A file that cannot be used is not an error, but is listed with the reason. Reading files does not block other
// users of the registry.
func (r *Registry) Scan(ctx context.Context) error {
	r.scanning.Lock()
	defer r.scanning.Unlock()
	if r.dir == "" {
		return nil
	}
	found, err := os.ReadDir(r.dir)
	if err != nil {
		return r.noteFolder(err)
	}
	paths := map[string]bool{}
	for _, d := range found {
		path := filepath.Join(r.dir, d.Name())
		if _, _, ok := fileName(path); ok && (!isFolder(path) || adapterfile.IsPEFT(path)) {
			paths[path] = true
		}
	}
	r.admin.Lock()
	for path := range r.files {
		paths[path] = true
	}
	r.admin.Unlock()
	if err := r.look(ctx, slices.Sorted(maps.Keys(paths))); err != nil {
		return err
	}
	return r.noteFolder(nil)
}

// noteFolder stores the error of the folder, for Err.
func (r *Registry) noteFolder(err error) error {
	r.admin.Lock()
	defer r.admin.Unlock()
	if r.scanErr = err; err != nil {
		r.scanErr = fmt.Errorf("serve: adapters: %w", err)
	}
	return r.scanErr
}

// settledAfter is how long a file must be unchanged to count as completely written.
const settledAfter = 2 * time.Second

// look reads those of the files that have changed and publishes the result. Calls may overlap: what a later one
// found takes precedence.
func (r *Registry) look(ctx context.Context, paths []string) error {
	number, before, held := r.beginLook(paths)
	fresh := make([]*file, len(paths))
	policy := r.policy()
	var group errgroup.Group
	group.SetLimit(cap(r.loading))
	for i, path := range paths {
		old := before[i]
		stamp, err := stampOf(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil { // no permission, for example: its content remains while it is in memory
			fresh[i] = newFile(path, held[i], old)
			fresh[i].fail(err)
			fresh[i].judge(policy)
			continue
		}
		stamp.signed(path, policy)
		seen, settled := time.Now(), stamp.settled
		if old != nil && old.key == stamp.key {
			if old.settled && old.policy == policy {
				fresh[i] = old
				continue
			}
			seen = old.seen
		}
		settled = settled || time.Since(seen) > settledAfter // the file system's clock may be ahead of ours
		group.Go(func() error {
			f := newFile(path, held[i], old)
			f.key, f.settled, f.seen, f.modified = stamp.key, settled, seen, stamp.modified
			if ctx.Err() == nil {
				r.readFile(f, policy)
				fresh[i] = f
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if slices.Contains(fresh, nil) { // were files removed, or has the whole folder disappeared?
		if _, err := os.ReadDir(r.dir); err != nil {
			return r.noteFolder(err)
		}
	}
	r.endLook(number, paths, fresh)
	return nil
}

// stamp changes whenever the file at a path is modified.
type stamp struct {
	key      string
	settled  bool // old enough to be reliable
	modified time.Time
}

// stampOf returns the stamp of a file, or of all files of a PEFT folder. The error is fs.ErrNotExist if there
// is neither.
func stampOf(path string) (s stamp, err error) {
	paths := []string{path}
	if isFolder(path) {
		if !adapterfile.IsPEFT(path) {
			return s, fs.ErrNotExist
		}
		paths = nil
		for _, name := range adapterfile.PEFTFiles() {
			paths = append(paths, filepath.Join(path, name))
		}
	}
	s.settled = true
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist) && p != path: // a folder may lack some of the files
			continue
		case err != nil:
			return s, err
		case info.IsDir():
			return s, fs.ErrNotExist
		}
		key, settled := memo.FileKey(p, info)
		s.key += key + "\n"
		s.settled = s.settled && settled
		if t := info.ModTime(); t.After(s.modified) {
			s.modified = t
		}
	}
	return s, nil
}

// beginLook numbers a scan. It returns copies of what was seen at the paths so far, and their contents, because
// publishing may change these meanwhile.
func (r *Registry) beginLook(paths []string) (number uint64, before []*file, held []*content) {
	r.admin.Lock()
	defer r.admin.Unlock()
	r.looks++
	before, held = make([]*file, len(paths)), make([]*content, len(paths))
	for i, path := range paths {
		if before[i] = r.files[path]; before[i] != nil {
			held[i] = before[i].content
		}
	}
	return r.looks, before, held
}

// endLook publishes the result of a scan.
func (r *Registry) endLook(number uint64, paths []string, fresh []*file) {
	r.admin.Lock()
	defer r.admin.Unlock()
	changed := false
	for i, path := range paths {
		was := r.files[path]
		if was == fresh[i] || was != nil && was.look > number {
			continue
		}
		changed = true
		if fresh[i] == nil {
			delete(r.files, path)
		} else {
			fresh[i].look = number
			r.files[path] = fresh[i]
		}
	}
	if changed {
		r.publish()
	}
}

// signed adds to a stamp what trust in the adapter at path depends on.
func (s *stamp) signed(path string, policy *trust.Policy) {
	if policy == nil || policy.Keys == nil {
		return
	}
	info, err := os.Stat(trust.FileOf(path))
	if err != nil {
		s.key += "not signed\n"
		return
	}
	key, settled := memo.FileKey(trust.FileOf(path), info)
	s.key, s.settled = s.key+key+"\n", s.settled && settled
}

// newFile returns the record of path, with its previous content that is still in memory, and its signatures.
func newFile(path string, held *content, before *file) *file {
	f := &file{path: path, content: held}
	if ensemble.Is(path) {
		f.content = nil // publish makes it
	}
	if before != nil {
		f.signatures, f.signers = before.signatures, before.signers
	}
	f.name, f.version, _ = fileName(path)
	return f
}

// fail records why the file cannot be used. Its previous content stays while it is in memory.
func (f *file) fail(err error) {
	f.err = err
	if f.content != nil && f.content.live.Load() == nil {
		f.content = nil
	}
}

// judge drops the content of f if it is not trusted.
func (f *file) judge(policy *trust.Policy) {
	f.policy = policy
	if f.content == nil {
		return
	}
	signers, err := policy.Check(f.content.digest, f.name, f.signatures)
	if f.signers = signers; err != nil {
		f.content = nil
		if f.err == nil {
			f.err = err
		}
	}
}

// readFile reads and checks the file. It may be called for several files concurrently. An untrusted file is
// refused; its previous content remains while it is in memory and trusted.
func (r *Registry) readFile(f *file, policy *trust.Policy) {
	if ensemble.Is(f.path) { // its members are trusted, or not; it adds nothing but their mean
		f.list, f.err = ensemble.Read(f.path)
		f.policy = policy
		return
	}
	if f.content != nil && !slices.Contains(r.reader.bases(), f.content.base.root()) {
		f.content = nil // its base is no longer served
	}
	parsed, base, err := r.reader.read(f.path)
	if err != nil {
		f.fail(err)
		f.judge(policy)
		return
	}
	var signatures []byte
	if policy != nil && policy.Keys != nil {
		signatures, err = trust.ReadSignatures(f.path)
	}
	same := f.content != nil && f.content.digest == parsed.Digest && f.content.base.root() == base
	if err == nil {
		_, err = policy.Check(parsed.Digest, f.name, signatures)
	}
	if err != nil && !same {
		f.fail(err)
		f.judge(policy)
		return
	}
	if f.signatures = signatures; !same {
		f.content = base.content(parsed)
	}
	if f.judge(policy); err != nil { // the signatures cannot be read either
		f.content, f.err = nil, err
	}
}

// refresh examines the files of one name, and path.
func (r *Registry) refresh(ctx context.Context, name string) error {
	paths := []string{joinName(r.dir, name), filepath.Join(r.dir, name), filepath.Join(r.dir, name+ensemble.Ending)}
	found, err := filepath.Glob(filepath.Join(escapeGlob(r.dir), escapeGlob(name)+"@*"))
	if err != nil {
		return err
	}
	for _, path := range found {
		if _, _, ok := fileName(path); ok {
			paths = append(paths, path)
		}
	}
	r.admin.Lock()
	for path, f := range r.files {
		if f.name == name {
			paths = append(paths, path)
		}
	}
	r.admin.Unlock()
	slices.Sort(paths)
	return r.look(ctx, slices.Compact(paths))
}

// escapeGlob quotes the special characters of a pattern.
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
