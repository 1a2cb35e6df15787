package adapterfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"melo.example/melo/internal/regular"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// Names in a native file.
const (
	metadataKey = "melo" // in the header's __metadata__
	headWeight  = "head.weight"
	headScale   = "head.scale"
	headBias    = "head.bias"
)

// headers limits the header of an adapter file: a description, and a few tensors for each block of the deepest
// base.
var headers = safetensors.Limits{Header: 16 << 20, Tensors: 1 << 14}

// Read reads a native file. Narrower types are converted to float32.
func Read(path string) (*File, error) { return ReadLimit(path, maxFile) }

// ReadLimit is Read for a file of at most limit bytes.
func ReadLimit(path string, limit int64) (*File, error) {
	file, err := regular.Open(path)
	if err != nil {
		return nil, failed(path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, failed(path, err)
	}
	// Read the header first, so that a base given by mistake is not read into memory.
	st, err := safetensors.HeaderOf(file, info.Size(), path, headers)
	if err != nil {
		return nil, failed(path, err)
	}
	if _, ok := st.Metadata()[metadataKey]; !ok {
		return nil, failf(path, "%w", &otherKindError{sniffTensors(st)})
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, failed(path, err)
	}
	data, err := regular.ReadAll(file, path, limit)
	if err != nil {
		return nil, failed(path, err)
	}
	f, err := Parse(data, path)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// otherKindError reports that a file is not a native adapter, judging by its header.
type otherKindError struct{ kind Kind }

// Error names the kind.
func (e *otherKindError) Error() string {
	return fmt.Sprintf("not a native adapter file (the header has no %q), but %s", metadataKey, e.kind)
}

// failed prefixes an error with the package and the file, unless a deeper package has named them.
func failed(path string, err error) error {
	if err == nil || strings.HasPrefix(err.Error(), "safetensors: "+path) || strings.HasPrefix(err.Error(), "adapterfile: "+path) {
		return err
	}
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return failf(path, "%w", err)
}

// Parse reads a native file from memory. name is its path, for messages. Extra tensors are views of data;
// everything else is copied.
func Parse(data []byte, name string) (*File, error) {
	st, err := safetensors.ParseLimits(data, name, headers)
	if err != nil {
		return nil, err
	}
	f, err := parse(st)
	if err != nil {
		return nil, failed(name, err)
	}
	f.Path, f.Digest, f.From = name, digestOf(data), Native
	return f, nil
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return digestPrefix + hex.EncodeToString(sum[:])
}

func parse(st *safetensors.File) (*File, error) {
	for key := range st.Metadata() {
		if key != metadataKey {
			return nil, errors.New("header metadata has the unknown key " + quote(key))
		}
	}
	meta, err := decodeMetadata(st.Metadata()[metadataKey])
	if err != nil {
		return nil, err
	}
	if err := meta.validate(); err != nil {
		return nil, err
	}
	f := &File{Adapter: &lora.Adapter{}, Meta: meta}
	r := newReader(st)
	rsLoRA := meta.ScaleRule == ScaleAlphaOverSqrtRank
	for i, g := range meta.Sites {
		deltas, err := r.group(i, g, &meta.Base, rsLoRA)
		if err != nil {
			return nil, err
		}
		f.Adapter.Deltas = append(f.Adapter.Deltas, deltas...)
	}
	f.Adapter.Sort()
	if len(meta.Labels) > 0 {
		f.Adapter.Head = r.head(len(meta.Labels), meta.Base.Features)
	}
	if meta.Method == lora.FullTuning {
		f.Extra = r.extra()
	}
	if f.Fit, err = r.fit(meta.Fit); err != nil {
		return nil, err
	}
	if err := r.finish(); err != nil {
		return nil, err
	}
	return f, nil
}

// group reads the stacked matrices of group i. If they are missing or wrong it returns none, and finish reports
// them.
func (r *reader) group(i int, g SiteGroup, base *Base, rsLoRA bool) ([]lora.Delta, error) {
	kind, err := vit.ParseKind(g.Kind)
	if err != nil {
		return nil, err
	}
	blocks := g.sites()
	in, out := base.dims(vit.Site{Block: blocks[0], Kind: kind})
	a := r.floats(groupName(i, g)+".A", len(blocks), g.Rank, in)
	b := r.floats(groupName(i, g)+".B", len(blocks), out, g.Rank)
	if a == nil || b == nil {
		return nil, nil
	}
	deltas := make([]lora.Delta, len(blocks))
	na, nb := g.Rank*in, out*g.Rank
	for j, block := range blocks {
		deltas[j] = lora.Delta{
			Site: vit.Site{Block: block, Kind: kind}, Rank: g.Rank, Alpha: g.Alpha, Scale: lora.ScaleFor(g.Alpha, g.Rank, rsLoRA),
			A: a[j*na : (j+1)*na : (j+1)*na], B: b[j*nb : (j+1)*nb : (j+1)*nb],
		}
	}
	return deltas, nil
}

// head reads the classifier. Its weight may be stored as Head24, or as I8 with one scale per class.
func (r *reader) head(classes, features int) *vit.Head {
	if features == 0 {
		if t, ok := r.st.Tensor(headWeight); ok && len(t.Shape) >= 2 {
			features = t.Shape[1]
		}
	}
	h := &vit.Head{Classes: classes, Features: features}
	t, _ := r.st.Tensor(headWeight)
	switch t.DType {
	case safetensors.I8:
		h.W = r.scaled(headWeight, headScale, classes, features)
	case Head24:
		h.W = r.upper(headWeight, classes, features)
	default:
		h.W = r.floats(headWeight, classes, features)
	}
	h.Bias = r.floats(headBias, classes)
	return h
}

// extra reads every tensor of a fully fine-tuned base.
func (r *reader) extra() []safetensors.TensorData {
	var list []safetensors.TensorData
	var scratch []float32
	for _, name := range r.st.Names() {
		if !strings.HasPrefix(name, BasePrefix) {
			continue
		}
		t, _ := r.st.Tensor(name)
		if v := r.floatsInto(scratch, name, t.Shape...); cap(v) > cap(scratch) { // reads the values to check them
			scratch = v
		}
		list = append(list, safetensors.TensorData{Name: name, DType: t.DType, Shape: slices.Clone(t.Shape), Data: t.Data})
	}
	return list
}
