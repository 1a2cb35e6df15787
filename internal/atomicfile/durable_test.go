package atomicfile

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// lossyFS is a file system in memory whose power can be cut after any operation. What survives is what was synced: the
// bytes of a file by its Sync, the names in a folder by SyncDir. It drops everything else, which is the worst that a real
// one may do.
type lossyFS struct {
	root      *node
	ops       int
	cut       int // after so many operations the power is gone; 0: never
	exchanges bool
}

// node is a file or a folder, whatever its name. What is durable of it is kept beside what is there now.
type node struct {
	now, durable    map[string]*node // of a folder
	bytes, survives []byte           // of a file
}

func newFolder() *node { return &node{now: map[string]*node{}, durable: map[string]*node{}} }

type powerCut struct{}

// op is called before each operation.
func (l *lossyFS) op() {
	if l.cut > 0 && l.ops == l.cut {
		panic(powerCut{})
	}
	l.ops++
}

func newLossyFS(cut int, exchanges bool) *lossyFS {
	return &lossyFS{root: newFolder(), cut: cut, exchanges: exchanges}
}

// find returns what is at an absolute path, or nil.
func (l *lossyFS) find(name string) *node {
	n := l.root
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		if part != "" && n != nil {
			n = n.now[part]
		}
	}
	return n
}

// entry returns the folder of a path, and the name in it.
func (l *lossyFS) entry(name string) (*node, string) { return l.find(path.Dir(name)), path.Base(name) }

// put makes something that is durable from the start.
func (l *lossyFS) put(name string, n *node) {
	dir, base := l.entry(name)
	dir.now[base], dir.durable[base] = n, n
}

func durableFile(text string) *node { return &node{bytes: []byte(text), survives: []byte(text)} }

func (l *lossyFS) add(name string, n *node) error {
	l.op()
	dir, base := l.entry(name)
	if dir.now[base] != nil {
		return fs.ErrExist
	}
	dir.now[base] = n
	return nil
}

func (l *lossyFS) Create(name string, _ fs.FileMode) (file, error) {
	n := &node{}
	return &lossyFile{l, n}, l.add(name, n)
}

func (l *lossyFS) Mkdir(name string) error { return l.add(name, newFolder()) }

func (l *lossyFS) Rename(from, to string) error {
	l.op()
	a, x := l.entry(from)
	b, y := l.entry(to)
	if a.now[x] == nil {
		return fs.ErrNotExist
	}
	b.now[y] = a.now[x]
	delete(a.now, x)
	return nil
}

func (l *lossyFS) Exchange(from, to string) (bool, error) {
	l.op()
	a, x := l.entry(from)
	b, y := l.entry(to)
	if l.exchanges {
		a.now[x], b.now[y] = b.now[y], a.now[x]
	}
	return l.exchanges, nil
}

func (l *lossyFS) Remove(name string) error {
	l.op()
	dir, base := l.entry(name)
	delete(dir.now, base)
	return nil
}

func (l *lossyFS) SyncDir(name string) error {
	l.op()
	n := l.find(name)
	n.durable = maps.Clone(n.now)
	return nil
}

// afterCut is what is there when the power is back: path and text of files.
func (l *lossyFS) afterCut() map[string]string {
	out := map[string]string{}
	var walk func(at string, n *node)
	walk = func(at string, n *node) {
		if n.now == nil {
			out[at] = string(n.survives)
		}
		for name, x := range n.durable {
			walk(at+"/"+name, x)
		}
	}
	walk("", l.root)
	return out
}

type lossyFile struct {
	fs *lossyFS
	n  *node
}

func (f *lossyFile) Write(p []byte) (int, error) {
	f.fs.op()
	f.n.bytes = append(f.n.bytes, p...)
	return len(p), nil
}

func (f *lossyFile) Sync() error {
	f.fs.op()
	f.n.survives = bytes.Clone(f.n.bytes)
	return nil
}

func (f *lossyFile) Close() error { return nil }

// cutEverywhere runs work again and again, with the power cut after each of its operations, and at last without. What is
// there afterwards must be one of before and after; when work returned, it must be after.
func cutEverywhere(t *testing.T, exchanges bool, prepare func(*lossyFS), work func(*lossyFS) error, visible func(map[string]string) string, before, after string) {
	t.Helper()
	for cut := 1; ; cut++ {
		l := newLossyFS(cut, exchanges)
		prepare(l)
		done := false
		func() {
			defer func() {
				if p := recover(); p != nil && p != any(powerCut{}) {
					panic(p)
				}
			}()
			if err := work(l); err != nil {
				t.Fatal(err)
			}
			done = true
		}()
		got := visible(l.afterCut())
		if got != after && (done || got != before) {
			t.Errorf("power cut after %d operations (done: %v): %q is left, expected %q or %q", cut, done, got, before, after)
		}
		if done && l.ops < cut {
			return
		}
	}
}

// TestPowerCut: whenever the power is cut, the old file is there or the complete new one; and the new one once Write has
// returned.
func TestPowerCut(t *testing.T) {
	long := strings.Repeat("new", bufferSize) // several buffers
	for _, c := range []struct{ old, fresh string }{{"old", "new"}, {"", "new"}, {"old", long}} {
		prepare := func(l *lossyFS) {
			l.put("/d", newFolder())
			if c.old != "" {
				l.put("/d/f", durableFile(c.old))
			}
		}
		visible := func(files map[string]string) string { return files["/d/f"] }
		cutEverywhere(t, true, prepare, func(l *lossyFS) error { return write(l, "/d/f", "/d/f", 0o644, fillWith([]byte(c.fresh))) },
			visible, c.old, c.fresh)
		cutEverywhere(t, true, prepare, func(l *lossyFS) error {
			f, err := l.Create("/d/f.partial", 0o644)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(f, c.fresh); err != nil {
				return err
			}
			return finish(l, f, "/d/f.partial", "/d/f")
		}, visible, c.old, c.fresh)
	}
}

// TestPowerCutFolder: the same of a folder. Where two paths cannot change places in one step there may be a moment without
// either, but never a part.
func TestPowerCutFolder(t *testing.T) {
	files := twoFiles("new a", "new b")
	visible := func(files map[string]string) string {
		var list []string
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if strings.HasPrefix(name, "/d/out/") {
				list = append(list, fmt.Sprintf("%s=%s", path.Base(name), files[name]))
			}
		}
		return strings.Join(list, " ")
	}
	for _, exists := range []bool{false, true} {
		for _, exchanges := range []bool{true, false} {
			before := ""
			prepare := func(l *lossyFS) {
				l.put("/d", newFolder())
				if exists {
					l.put("/d/out", newFolder())
					l.put("/d/out/a", durableFile("old a"))
					l.put("/d/out/b", durableFile("old b"))
				}
			}
			if exists {
				before = "a=old a b=old b"
			}
			cutEverywhere(t, exchanges, prepare, func(l *lossyFS) error {
				_, err := writeFolder(l, "/d/out", "/d/out", exists, 0o644, files)
				return err
			}, visible, before, "a=new a b=new b")
		}
	}
}
