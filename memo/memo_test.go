package memo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCache(t *testing.T) {
	c := New(filepath.Join(t.TempDir(), "made", "when needed"))
	if _, ok := c.Get("key"); ok {
		t.Fatal("an empty cache knows something")
	}
	if err := c.Put("key", "value"); err != nil {
		t.Fatal(err)
	}
	if v, ok := c.Get("key"); !ok || v != "value" {
		t.Fatalf("got %q, %v", v, ok)
	}
	if _, ok := c.Get("other"); ok {
		t.Fatal("another key has a value")
	}
	if err := c.Put("key", strings.Repeat("x", maxValue)); err == nil {
		t.Fatal("a value without bound was taken")
	}
	for _, damaged := range []string{"", "key", "other\nvalue\n", "key\nval", strings.Repeat("key\n", maxValue)} {
		if err := os.WriteFile(c.file("key"), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if v, ok := c.Get("key"); ok {
			t.Errorf("the damaged file %.20q gives %q", damaged, v)
		}
	}
}

func TestNilCache(t *testing.T) {
	c := New("")
	if c.Put("key", "value") == nil {
		t.Fatal("remembered nowhere")
	}
	if _, ok := c.Get("key"); ok {
		t.Fatal("a nil cache knows something")
	}
}

// TestFileKey: what was written again has another key, even with the old size and time.
func TestFileKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	key := func() (string, bool) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return FileKey(path, info)
	}
	write := func(text string, when time.Time) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	write("one", time.Now())
	if _, ok := key(); ok {
		t.Error("a file of this moment has a key to rely on")
	}
	old := time.Now().Add(-time.Hour)
	write("one", old)
	first, ok := key()
	if !ok {
		t.Error("an old file has no key")
	}
	if again, _ := key(); again != first {
		t.Error("the same file has two keys")
	}
	write("three", old)
	if other, _ := key(); other == first {
		t.Error("a longer file has the same key")
	}
	time.Sleep(20 * time.Millisecond) // the file system's clock
	write("two", old)
	if other, _ := key(); other == first && inode(mustStat(t, path)) != "" {
		t.Error("a file that was written again has the same key")
	}
}

func mustStat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestReserve: the oldest files make room, by number and by size; what would not fit into an empty cache is refused.
func TestReserve(t *testing.T) {
	fill := func(t *testing.T) *Cache {
		c := New(t.TempDir())
		if err := c.Reserve(0, 3, 100); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		for i, key := range []string{"old", "older", "new"} {
			path := c.Large(key)
			if err := os.WriteFile(path, make([]byte, 30), 0o600); err != nil {
				t.Fatal(err)
			}
			at := now.Add([]time.Duration{-1, -2, 0}[i] * time.Hour)
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	for name, x := range map[string]struct {
		size  int64
		files int
		kept  map[string]bool
	}{
		"room for all": {10, 4, map[string]bool{"old": true, "older": true, "new": true}},
		"by number":    {10, 3, map[string]bool{"old": true, "older": false, "new": true}},
		"by size":      {50, 9, map[string]bool{"old": false, "older": false, "new": true}},
		"all of it":    {100, 9, map[string]bool{"old": false, "older": false, "new": false}},
	} {
		t.Run(name, func(t *testing.T) {
			c := fill(t)
			if err := c.Reserve(x.size, x.files, 100); err != nil {
				t.Fatal(err)
			}
			for key, kept := range x.kept {
				if _, err := os.Stat(c.Large(key)); (err == nil) != kept {
					t.Errorf("%s: %v", key, err)
				}
			}
		})
	}
	c := fill(t)
	if err := c.Reserve(101, 9, 100); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(c.Large("older")); err != nil {
		t.Errorf("removed for nothing: %v", err)
	}
}
