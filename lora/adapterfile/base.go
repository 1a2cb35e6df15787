package adapterfile

import (
	"cmp"
	"fmt"

	"melo.example/melo/memo"
	"melo.example/melo/vit"
)

// BaseError reports that an adapter belongs to another base.
type BaseError struct {
	File        string // path of the adapter
	Base        string // base for which the adapter was made, as far as the file says
	What        string // the property that differs, such as "width"
	Want, Found string // value for the adapter's base, and for the given base
}

// Error names the file, its base, what was expected and what was found.
func (e *BaseError) Error() string {
	return fmt.Sprintf("adapterfile: %s: made for another base%s: %s: expected %s, found %s", e.File, e.Base, e.What, e.Want, e.Found)
}

// CheckBase returns a *BaseError, or an error of lora.Adapter.Check, if the adapter does not belong to a base
// of shape c whose weights have the given digest (BaseDigest). Properties that the file does not record, and an
// empty digest, are not compared.
func (f *File) CheckBase(c *vit.Config, digest string) error {
	b := &f.Meta.Base
	if pool := f.Meta.Pool; pool != "" && pool != c.Pooling.String() {
		return f.baseError("pooling", pool, c.Pooling.String())
	}
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
	if err := cmp.Or(f.Adapter.Check(c), f.Meta.checkFitOn(c)); err != nil {
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

// BaseDigest returns the identity of a base's weights: "sha256:" and the SHA-256 of its .safetensors file, or
// file of another format. path is that file, or the folder that holds it. For a sharded base (an index, or a
// folder with one) it is the SHA-256 of one line "DIGEST  NAME\n" per shard, sorted by name, as sha256sum
// prints them. It reads the whole file.
func BaseDigest(path string) (string, error) { return BaseDigestMemo(nil, path) }

// BaseDigestMemo is BaseDigest with a cache of digests, known. A file is not read again if its size, times and
// inode number have not changed since.
func BaseDigestMemo(known *memo.Cache, path string) (string, error) {
	b, err := OpenBaseFiles(path)
	if err != nil {
		return "", err
	}
	defer b.Close()
	return b.Digest(known)
}
