package vit

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"

	"melo.example/melo/internal/kernel"
	"melo.example/melo/memo"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/checkpoint"

	"golang.org/x/sync/errgroup"
)

// kept is a cache file of a base's packed weights, which an earlier run has written or this one will write. The
// weights are stored in the order in which a builder packs them. Results never depend on the file: a missing or
// invalid weight is packed again. A nil kept caches nothing.
type kept struct {
	cache *memo.Cache
	key   string
	path  string

	file *safetensors.File // stays mapped for the life of the process: models share its memory
	at   int
	made []*kernel.Packed
}

// keptVersion is part of the cache key. It changes with what is packed, in which order, and how.
const keptVersion = 1

// keptFiles and keptBytes limit the number and size of the cached files. The oldest are removed first.
const (
	keptFiles = 6
	keptBytes = 4 << 30
)

// openKept looks for cached packed weights of c.
func openKept(cache *memo.Cache, c *checkpoint.Checkpoint, prec Precision) *kept {
	files, config := c.Files()
	if cache == nil || len(files) == 0 {
		return nil
	}
	names := make([]string, len(files))
	for i, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return nil
		}
		var ok bool
		if names[i], ok = memo.FileKey(file, info); !ok {
			return nil
		}
	}
	k := &kept{cache: cache, key: fmt.Sprintf("packed %d %s %v %x %s", keptVersion, kernel.Layout(), prec, sha256.Sum256(config), strings.Join(names, " "))}
	k.path = cache.Large(k.key)
	f, err := safetensors.Open(k.path)
	if err != nil {
		return k
	}
	if f.Metadata()["key"] == k.key && f.Metadata()["crc32c"] == checksums(f) {
		k.file = f
	} else {
		f.Close()
	}
	return k
}

// checksums returns the checksums of all tensors, ordered by name.
func checksums(f *safetensors.File) string {
	names := f.Names()
	slices.Sort(names)
	var group errgroup.Group
	sums := make([]string, len(names))
	for i, name := range names {
		group.Go(func() error {
			t, _ := f.Tensor(name)
			sums[i] = checksum(t.Data)
			return nil
		})
	}
	_ = group.Wait() // its functions return no errors
	return strings.Join(sums, " ")
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(data, castagnoli)) }

// next returns the next weight from the cache, or nil if it is not there.
func (k *kept) next(e Precision, out, in int) *kernel.Packed {
	if k == nil || k.file == nil {
		return nil
	}
	var parts [3][]float32
	for i, part := range keptParts {
		if t, ok := k.file.Tensor(keptName(k.at, part)); ok {
			parts[i], _ = t.F32View()
		}
	}
	p, err := kernel.Laid(elem(e), out, in, parts[0], parts[1], parts[2])
	if err != nil {
		return nil
	}
	k.at++
	return p
}

// keptParts names the parts that kernel.Packed.Parts returns.
var keptParts = [3]string{"data", "scale", "sum"}

func keptName(i int, part string) string { return fmt.Sprintf("%04d.%s", i, part) }

// add records a weight that was packed.
func (k *kept) add(p *kernel.Packed) {
	if k != nil {
		k.made = append(k.made, p)
	}
}

// keep writes the packed weights to the cache, unless the file already has them. A write error is ignored.
func (k *kept) keep() {
	if k == nil || len(k.made) == 0 || k.file != nil {
		return
	}
	var tensors []safetensors.TensorData
	var sums []string
	var size int64
	for i, p := range k.made {
		data, scale, sum := p.Parts()
		for j, part := range [3][]float32{data, scale, sum} {
			if len(part) == 0 {
				continue
			}
			t, err := safetensors.FromFloat32s(keptName(i, keptParts[j]), safetensors.F32, []int{len(part)}, part)
			if err != nil {
				return
			}
			tensors, sums, size = append(tensors, t), append(sums, checksum(t.Data)), size+int64(len(t.Data))
		}
	}
	const cacheLine = 64 // the length of every part is a multiple of it
	if k.cache.Reserve(size, keptFiles, keptBytes) == nil {
		_ = safetensors.WriteAligned(k.path, 0o600, tensors, map[string]string{"key": k.key, "crc32c": strings.Join(sums, " ")}, cacheLine)
	}
}
