// Package features keeps what a base makes of images, a part after the other, so that a run which was interrupted goes
// on where it stopped, and writes all of it as one file: NumPy's .npz or .safetensors.
package features

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/safetensors"
)

// Store is a run: images in order, and the rows of those that are done. The rows of a part are on disk when Add returns.
type Store struct {
	out      string
	identity string
	shape    []int // of one image's features
	part     int   // images of a part
	images   []string
	done     int // images of whole parts
	rows     []float32
	failed   []int // images of the part in work that have no row
}

// ErrOther says that the parts beside the output are of another run.
var ErrOther = errors.New("the parts that are there belong to another run")

// Open begins a run that will write out, or goes on with the one whose parts lie beside it. identity names everything
// that features depend on; shape is that of one image's.
func Open(out, identity string, images []string, shape []int) (*Store, error) {
	if ext := filepath.Ext(out); ext != ".npz" && ext != ".safetensors" {
		return nil, fmt.Errorf("features: %s: ending %q, expected .npz or .safetensors", out, ext)
	}
	values := 1
	for _, n := range shape {
		values *= n
	}
	s := &Store{out: out, identity: identity, shape: shape, images: images, part: max(1, min(256, (16<<20)/max(values, 1)))}
	for s.done < len(images) {
		f, err := safetensors.Open(s.partName())
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		want, _ := json.Marshal(images[s.done:min(s.done+s.part, len(images))])
		same := f.Metadata()["identity"] == identity && f.Metadata()["images"] == string(want)
		if err := f.Close(); err != nil {
			return nil, err
		}
		if !same {
			return nil, fmt.Errorf("features: %s: %w", s.dir(), ErrOther)
		}
		s.done = min(s.done+s.part, len(images))
	}
	return s, nil
}

func (s *Store) dir() string { return s.out + ".parts" }

func (s *Store) partName() string {
	return filepath.Join(s.dir(), fmt.Sprintf("%08d.safetensors", s.done))
}

// Done returns how many images need not be looked at again.
func (s *Store) Done() int { return s.done }

// Add keeps the row of the next image, nil if it has none.
func (s *Store) Add(row []float32) error {
	if row == nil {
		s.failed = append(s.failed, s.pending())
	} else {
		s.rows = append(s.rows, row...)
	}
	if n := s.pending(); n < s.part && s.done+n < len(s.images) {
		return nil
	}
	return s.flush()
}

// values is the length of a row.
func (s *Store) values() int {
	n := 1
	for _, d := range s.shape {
		n *= d
	}
	return n
}

// pending is how many images of the part in work are known.
func (s *Store) pending() int { return len(s.rows)/s.values() + len(s.failed) }

func (s *Store) flush() error {
	n := s.pending()
	if err := os.MkdirAll(s.dir(), 0o777); err != nil {
		return fmt.Errorf("features: %w", err)
	}
	rows, err := safetensors.FromFloat32s("features", safetensors.F32, append([]int{n - len(s.failed)}, s.shape...), s.rows)
	if err != nil {
		return err
	}
	images, _ := json.Marshal(s.images[s.done : s.done+n])
	failed, _ := json.Marshal(s.failed)
	meta := map[string]string{"identity": s.identity, "images": string(images), "failed": string(failed)}
	if err := safetensors.WriteFile(s.partName(), 0o666, []safetensors.TensorData{rows}, meta); err != nil {
		return err
	}
	s.done, s.rows, s.failed = s.done+n, s.rows[:0], nil
	return nil
}

// Finish writes the file and removes the parts. It returns how many images have features.
func (s *Store) Finish(metadata map[string]string) (int, error) {
	if s.done != len(s.images) {
		return 0, fmt.Errorf("features: %d of %d images are done", s.done, len(s.images))
	}
	parts, names, err := s.collect()
	defer func() {
		for _, p := range parts {
			_ = p.Close() // the error before it is the one to tell
		}
	}()
	if err != nil {
		return 0, err
	}
	if filepath.Ext(s.out) == ".npz" {
		err = atomicfile.Write(s.out, 0o666, func(w io.Writer) error { return s.writeNPZ(w, parts, names) })
	} else {
		err = s.writeSafetensors(parts, names, metadata)
	}
	if err != nil {
		return 0, err
	}
	return len(names), os.RemoveAll(s.dir())
}

// collect opens all parts and lists the images that have a row.
func (s *Store) collect() (parts []*safetensors.File, names []string, err error) {
	for s.done = 0; s.done < len(s.images); {
		f, err := safetensors.Open(s.partName())
		if err != nil {
			return parts, nil, err
		}
		parts = append(parts, f)
		var failed []int
		if err := json.Unmarshal([]byte(f.Metadata()["failed"]), &failed); err != nil {
			return parts, nil, fmt.Errorf("features: %s: %w", s.partName(), err)
		}
		bad := map[int]bool{}
		for _, i := range failed {
			bad[i] = true
		}
		n := min(s.part, len(s.images)-s.done)
		for i, name := range s.images[s.done : s.done+n] {
			if !bad[i] {
				names = append(names, name)
			}
		}
		s.done += n
	}
	return parts, names, nil
}

func (s *Store) writeSafetensors(parts []*safetensors.File, names []string, metadata map[string]string) error {
	list, _ := json.Marshal(names)
	meta := map[string]string{"images": string(list)}
	for k, v := range metadata {
		meta[k] = v
	}
	var data []byte
	for _, p := range parts {
		t, _ := p.Tensor("features")
		data = append(data, t.Data...)
	}
	all := safetensors.TensorData{Name: "features", DType: safetensors.F32, Shape: append([]int{len(names)}, s.shape...), Data: data}
	return safetensors.WriteFile(s.out, 0o666, []safetensors.TensorData{all}, meta)
}

// shapeText is a tuple as Python writes it.
func shapeText(shape []int) string {
	var b strings.Builder
	for _, n := range shape {
		fmt.Fprintf(&b, "%d, ", n)
	}
	return "(" + b.String() + ")"
}

// Discard removes what an earlier run has left beside out.
func Discard(out string) error {
	if err := os.RemoveAll(out + ".parts"); err != nil {
		return fmt.Errorf("features: %w", err)
	}
	return nil
}
