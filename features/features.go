// Package features stores the features that a base computes of images. It writes them in parts, so that an
// interrupted run continues where it stopped, and finally as one file: NumPy's .npz, .safetensors or .parquet.
package features

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/dataset/parquet"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/safetensors"
)

// Store is a run: images in order, and the feature rows of those that are done. When Add returns, the rows of
// each complete part are on disk.
type Store struct {
	out      string
	identity string
	shape    []int // of one image's features
	part     int   // images per part
	images   []string
	done     int // images in complete parts
	rows     []float32
	failed   []int // images of the current part without a row
}

// ErrOther reports that the parts beside the output belong to another run.
var ErrOther = errors.New("the parts that are there belong to another run")

// Open starts a run that will write out, or continues the one whose parts lie beside it. identity must contain
// everything that features depend on; shape is the shape of one image's features.
func Open(out, identity string, images []string, shape []int) (*Store, error) {
	if ext := filepath.Ext(out); ext != ".npz" && ext != ".safetensors" && ext != ".parquet" {
		return nil, fmt.Errorf("features: %s: ending %q, expected .npz, .safetensors or .parquet", out, ext)
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

// Done returns the number of images that need not be processed again.
func (s *Store) Done() int { return s.done }

// Add stores the row of the next image; nil if it has none.
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

// values returns the length of a row.
func (s *Store) values() int {
	n := 1
	for _, d := range s.shape {
		n *= d
	}
	return n
}

// pending returns the number of processed images in the current part.
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

// Column is further data about each image, in the order of the images: text, or numbers (0 or 1; NaN if
// unknown).
type Column struct {
	Name    string
	Text    []string
	Numbers []float64
}

// Finish writes the file and removes the parts. It returns the number of images with features.
func (s *Store) Finish(metadata map[string]string, columns ...Column) (int, error) {
	if s.done != len(s.images) {
		return 0, fmt.Errorf("features: %d of %d images are done", s.done, len(s.images))
	}
	for _, c := range columns {
		if len(c.Text)+len(c.Numbers) != len(s.images) {
			return 0, fmt.Errorf("features: column %q has %d values for %d images", c.Name, len(c.Text)+len(c.Numbers), len(s.images))
		}
	}
	t := table{shape: s.shape, columns: columns, metadata: metadata}
	err := s.collect(&t)
	defer func() {
		for _, p := range t.parts {
			_ = p.Close() // the earlier error is the one to report
		}
	}()
	if err != nil {
		return 0, err
	}
	write := map[string]func(io.Writer) error{".npz": t.writeNPZ, ".safetensors": t.writeSafetensors, ".parquet": t.writeParquet}
	if err := atomicfile.Write(s.out, 0o666, write[filepath.Ext(s.out)]); err != nil {
		return 0, err
	}
	return len(t.names), os.RemoveAll(s.dir())
}

// table is the result to be written. Its rows are in the parts.
type table struct {
	shape    []int
	parts    []*safetensors.File
	names    []string // of the images with a row
	columns  []Column // of the same images
	metadata map[string]string
}

// numbers returns the number of values per row.
func (t *table) numbers() int {
	n := 1
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// collect opens all parts and lists the images with a row.
func (s *Store) collect(t *table) error {
	all := t.columns
	t.columns = make([]Column, len(all))
	for s.done = 0; s.done < len(s.images); {
		f, err := safetensors.Open(s.partName())
		if err != nil {
			return err
		}
		t.parts = append(t.parts, f)
		var failed []int
		if err := json.Unmarshal([]byte(f.Metadata()["failed"]), &failed); err != nil {
			return fmt.Errorf("features: %s: %w", s.partName(), err)
		}
		n := min(s.part, len(s.images)-s.done)
		for i := s.done; i < s.done+n; i++ {
			if slices.Contains(failed, i-s.done) {
				continue
			}
			t.names = append(t.names, s.images[i])
			for k, c := range all {
				to := &t.columns[k]
				if to.Name = c.Name; c.Text != nil {
					to.Text = append(to.Text, c.Text[i])
				} else {
					to.Numbers = append(to.Numbers, c.Numbers[i])
				}
			}
		}
		s.done += n
	}
	return nil
}

func (t *table) writeSafetensors(w io.Writer) error {
	list, _ := json.Marshal(t.names)
	meta := map[string]string{"images": string(list)}
	maps.Copy(meta, t.metadata)
	tensors := make([]safetensors.TensorData, 0, 1)
	for _, c := range t.columns {
		if c.Text != nil {
			list, _ = json.Marshal(c.Text)
			meta[c.Name] = string(list)
			continue
		}
		v := make([]float32, len(c.Numbers))
		for i, x := range c.Numbers {
			v[i] = float32(x)
		}
		x, err := safetensors.FromFloat32s(c.Name, safetensors.F32, []int{len(v)}, v)
		if err != nil {
			return err
		}
		tensors = append(tensors, x)
	}
	var data []byte
	for _, p := range t.parts {
		x, _ := p.Tensor("features")
		data = append(data, x.Data...)
	}
	all := safetensors.TensorData{Name: "features", DType: safetensors.F32, Shape: append([]int{len(t.names)}, t.shape...), Data: data}
	return safetensors.Write(w, append(tensors, all), meta)
}

// writeParquet writes one row per image: its name, the columns, and its features as a flat list of float32 in
// row-major order. The metadata of the file gives their shape. Each part is a row group.
func (t *table) writeParquet(w io.Writer) error {
	fields := []parquet.Field{{Name: "image", Kind: parquet.Text}}
	for _, c := range t.columns {
		kind := parquet.Numbers
		if c.Text != nil {
			kind = parquet.Text
		}
		fields = append(fields, parquet.Field{Name: c.Name, Kind: kind})
	}
	shape, _ := json.Marshal(t.shape)
	meta := map[string]string{"shape": string(shape)}
	maps.Copy(meta, t.metadata)
	out := parquet.NewWriter(w, append(fields, parquet.Field{Name: "features", Kind: parquet.Floats}), meta)
	at, each, row := 0, t.numbers(), make([]any, len(fields)+1)
	for _, p := range t.parts {
		x, _ := p.Tensor("features")
		v, err := x.Float32s(nil)
		if err != nil {
			return err
		}
		for ; len(v) > 0; v = v[each:] {
			row[0] = strings.ToValidUTF8(t.names[at], "\uFFFD")
			for i, c := range t.columns {
				if c.Text != nil {
					row[i+1] = strings.ToValidUTF8(c.Text[at], "\uFFFD")
				} else {
					row[i+1] = c.Numbers[at]
				}
			}
			row[len(row)-1] = v[:each]
			if err := out.Row(row...); err != nil {
				return err
			}
			at++
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return out.Close()
}

// shapeText formats a shape as a Python tuple.
func shapeText(shape []int) string {
	var b strings.Builder
	for _, n := range shape {
		fmt.Fprintf(&b, "%d, ", n)
	}
	return "(" + b.String() + ")"
}

// Discard removes the parts that an earlier run has left beside out.
func Discard(out string) error {
	if err := os.RemoveAll(out + ".parts"); err != nil {
		return fmt.Errorf("features: %w", err)
	}
	return nil
}
