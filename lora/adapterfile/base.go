package adapterfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"melo.example/melo/internal/memo"
	"melo.example/melo/internal/regular"
	"melo.example/melo/vit"
	"melo.example/melo/vit/checkpoint"
)

// BaseError says that an adapter belongs to another base.
type BaseError struct {
	File        string // of the adapter
	Base        string // that it was made for, as far as it tells
	What        string // the property that differs, such as "width"
	Want, Found string // of the base it was made for, of the one at hand
}

// Error names the file, its base, what was expected and what was found.
func (e *BaseError) Error() string {
	return fmt.Sprintf("adapterfile: %s: made for another base%s: %s: expected %s, found %s", e.File, e.Base, e.What, e.Want, e.Found)
}

// CheckBase returns a *BaseError, or an error of lora.Adapter.Check, if the adapter does not belong to a
// base of shape c whose weights have that digest (BaseDigest). What the file does not tell is not
// compared; an empty digest is not compared, either.
func (f *File) CheckBase(c *vit.Config, digest string) error {
	b := &f.Meta.Base
	for _, x := range []struct {
		what        string
		want, found int
	}{
		{"width", b.Width, c.Width}, {"depth", b.Depth, c.Depth}, {"MLP width", b.MLP, c.MLP}, {"patch side", b.Patch, c.Patch},
		{"image side", b.Image, c.Image}, {"features", b.Features, c.Features()},
	} {
		if x.want != 0 && x.want != x.found {
			return f.baseError(x.what, fmt.Sprint(x.want), fmt.Sprint(x.found))
		}
	}
	if b.Family != "" && c.Family != "" && b.Family != c.Family {
		return f.baseError("family", b.Family, c.Family)
	}
	if b.Digest != "" && digest != "" && b.Digest != digest {
		return f.baseError("digest of the weights", b.Digest, digest)
	}
	if err := f.Adapter.Check(c); err != nil {
		return failf(f.Path, "%w", err)
	}
	return nil
}

func (f *File) baseError(what, want, found string) error {
	base := ""
	if id := f.Meta.Base.ID; id != "" {
		base = fmt.Sprintf(" (%s)", quote(id))
	}
	return &BaseError{File: f.Path, Base: base, What: what, Want: want, Found: found}
}

// BaseDigest returns the identity of a base's weights: "sha256:" and the SHA-256 of its .safetensors
// file, or file of another format. path is that file, or the folder that holds it. For a sharded base (an
// index, or a folder with one) it is the SHA-256 of one line "DIGEST  NAME\n" a shard, sorted by name, as
// sha256sum prints them. All of the file is read.
func BaseDigest(path string) (string, error) { return BaseDigestMemo(nil, path) }

// BaseDigestMemo is BaseDigest that does not read a file again which known has seen and which has not changed
// since, going by its size, its times and its number on the file system.
func BaseDigestMemo(known *memo.Cache, path string) (string, error) {
	file, shards, err := checkpoint.Weights(path)
	if err != nil {
		return "", failed(path, err)
	}
	path = file
	if shards == nil {
		sum, err := hashFile(known, path)
		if err != nil {
			return "", failed(path, err)
		}
		return digestPrefix + sum, nil
	}
	var lines strings.Builder
	for _, name := range shards {
		shard := filepath.Join(filepath.Dir(path), name)
		sum, err := hashFile(known, shard)
		if err != nil {
			return "", failed(shard, err)
		}
		fmt.Fprintf(&lines, "%s  %s\n", sum, name)
	}
	return digestOf([]byte(lines.String())), nil
}

func hashFile(known *memo.Cache, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	key, stable := memo.FileKey(path, info)
	key = "sha256 " + key
	if sum, ok := known.Get(key); ok && stable {
		return sum, nil
	}
	file, err := regular.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if stable && unchanged(path, key) {
		known.Put(key, sum) // or the next run reads the file again
	}
	return sum, nil
}

// unchanged reports whether the file still has the key that it had before it was read.
func unchanged(path, key string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	now, _ := memo.FileKey(path, info)
	return "sha256 "+now == key
}
