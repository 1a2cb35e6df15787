package adapterfile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/bf16"
	"melo.example/melo/lora"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
	"melo.example/melo/vit/arch"
)

// filePerm is the permission of new adapter files, before the umask.
const filePerm = 0o666

// Types selects how values are stored. Narrower types are rounded to nearest even. Biases are always F32.
type Types struct {
	DType safetensors.DType // of A and B: F32, F16 or BF16
	// Head is the type of the head's weight: F32, F16, BF16, Head24, or I8 with a scale per class. Empty: the
	// same as DType.
	Head safetensors.DType
}

// Head24 stores a head's weight as the upper three bytes of its float32 values, with 16 significant bits: a
// tensor of bytes [C, F, 3], lowest byte first. The loss (2^-17 of a weight) is smaller than the rounding
// errors of a forward pass in float32.
const Head24 = safetensors.U8

// Compact returns the types of a trained adapter: A and B as dtype; the head in three bytes per weight if dtype
// is F32, in one byte per weight if dtype has two bytes. They keep a ViT-B/16 adapter within its size goals
// (docs/format/adapter.md).
func Compact(dtype safetensors.DType) Types {
	if dtype == safetensors.F32 {
		return Types{DType: dtype, Head: Head24}
	}
	return Types{DType: dtype, Head: safetensors.I8}
}

// Write writes the native file at path, atomically. For method melo it uses the types Compact(dtype). For other
// methods it stores all tensors as dtype, because the head is then all that is new, or small compared with the
// base. See WriteTypes.
func (f *File) Write(path string, dtype safetensors.DType) error {
	if f.Meta.Method == lora.MeLo {
		return f.WriteTypes(path, Compact(dtype))
	}
	return f.WriteTypes(path, Types{DType: dtype})
}

// WriteTypes writes the native file at path, atomically. The bytes depend on f only. It sets f.Path and
// f.Digest to those of the new file, and the fields of f.Meta that follow from the adapter. The values in f do
// not change, even if the file stores them rounded.
func (f *File) WriteTypes(path string, types Types) error {
	text, tensors, err := f.content(types)
	if err != nil {
		return failed(path, err)
	}
	hash := sha256.New()
	err = atomicfile.Write(path, filePerm, func(w io.Writer) error {
		return safetensors.Write(io.MultiWriter(w, hash), tensors, map[string]string{metadataKey: text})
	})
	if err != nil {
		return err
	}
	f.Path, f.Digest = path, digestPrefix+hex.EncodeToString(hash.Sum(nil))
	return nil
}

// content returns the description and the tensors of the native file.
func (f *File) content(types Types) (text string, tensors []safetensors.TensorData, err error) {
	if err := f.describe(); err != nil {
		return "", nil, err
	}
	if text, err = encodeMetadata(&f.Meta); err != nil {
		return "", nil, err
	}
	tensors, err = f.tensors(types)
	return text, tensors, err
}

// describe completes the metadata from the adapter and checks both.
func (f *File) describe() error {
	m := &f.Meta
	m.Format, m.Version = FormatName, FormatVersion
	m.Sites, m.ScaleRule = nil, ""
	if f.Adapter == nil {
		return errors.New("no adapter")
	}
	m.Sites = groupSites(f.Adapter.Deltas)
	err := f.describeFit()
	if err != nil {
		return err
	}
	if m.ScaleRule, err = scaleRule(f.Adapter.Deltas); err != nil {
		return err
	}
	if err := m.validate(); err != nil {
		return err
	}
	for i, d := range f.Adapter.Deltas {
		if i > 0 && compareSites(f.Adapter.Deltas[i-1].Site, d.Site) >= 0 {
			return fmt.Errorf("%v: sites are not in order", d.Site)
		}
		in, out := m.Base.dims(d.Site)
		if len(d.A) != d.Rank*in || len(d.B) != out*d.Rank {
			return fmt.Errorf("%v: %d numbers in A and %d in B, expected [%d, %d] and [%d, %d]",
				d.Site, len(d.A), len(d.B), d.Rank, in, out, d.Rank)
		}
	}
	if len(f.Extra) > 0 && m.Method != lora.FullTuning {
		return fmt.Errorf("method %q with tensors of the base, expected %q", m.Method, lora.FullTuning)
	}
	return f.checkHead()
}

// groupSites describes deltas as groups, ordered by kind, then by first block.
func groupSites(deltas []lora.Delta) []SiteGroup {
	type key struct {
		kind  vit.Kind
		rank  int
		alpha float32
		pool  bool
	}
	var groups []SiteGroup
	var keys []key
	for _, d := range deltas {
		k := key{d.Site.Kind, d.Rank, d.Alpha, d.Site.Block == arch.PoolBlock}
		i := slices.Index(keys, k)
		if i < 0 {
			i = len(keys)
			keys = append(keys, k)
			groups = append(groups, SiteGroup{Kind: d.Site.Kind.String(), Rank: d.Rank, Alpha: d.Alpha, Pool: k.pool, Blocks: []int{}})
		}
		if !k.pool {
			groups[i].Blocks = append(groups[i].Blocks, d.Site.Block)
		}
	}
	order := func(g SiteGroup) int {
		k, _ := vit.ParseKind(g.Kind) // cannot fail: the name was made from a kind above
		return int(k)
	}
	slices.SortStableFunc(groups, func(a, b SiteGroup) int { return order(a) - order(b) })
	return groups
}

func (f *File) checkHead() error {
	h := f.Adapter.Head
	if h == nil {
		if n := len(f.Meta.Labels); n > 0 {
			return fmt.Errorf("%d labels without a head", n)
		}
		return nil
	}
	if h.Classes != len(f.Meta.Labels) || len(h.Bias) != h.Classes || len(h.W) != h.Classes*h.Features {
		return fmt.Errorf("head of %d classes with %d weights and %d biases for %d labels", h.Classes, len(h.W), len(h.Bias), len(f.Meta.Labels))
	}
	if want := f.Meta.Base.Features; want != 0 && h.Features != want {
		return fmt.Errorf("head takes %d features, the base gives %d", h.Features, want)
	}
	return nil
}

func compareSites(a, b vit.Site) int {
	return cmp.Or(cmp.Compare(a.Block, b.Block), cmp.Compare(a.Kind, b.Kind))
}

// scaleRule returns the rule that reproduces the scale of every delta.
func scaleRule(deltas []lora.Delta) (string, error) {
	if len(deltas) == 0 {
		return "", nil
	}
	follows := func(rsLoRA bool) bool {
		for _, d := range deltas {
			if d.Rank < 1 || d.Scale != lora.ScaleFor(d.Alpha, d.Rank, rsLoRA) {
				return false
			}
		}
		return true
	}
	if follows(false) {
		return ScaleAlphaOverRank, nil
	}
	if follows(true) {
		return ScaleAlphaOverSqrtRank, nil
	}
	return "", errors.New("scales follow neither alpha/r nor alpha/sqrt(r) at every site")
}

// tensors returns all tensors to be stored, after checking that they are finite after rounding.
func (f *File) tensors(types Types) ([]safetensors.TensorData, error) {
	if types.Head == "" {
		types.Head = types.DType
	}
	var list []safetensors.TensorData
	add := func(name string, dtype safetensors.DType, values []float32, shape ...int) error {
		t, err := encodeTensor(name, dtype, values, shape)
		list = append(list, t)
		return err
	}
	var errs []error
	for i, g := range f.Meta.Sites {
		a, b, in, out := f.stack(g)
		name := groupName(i, g)
		errs = append(errs, add(name+".A", types.DType, a, len(g.sites()), g.Rank, in),
			add(name+".B", types.DType, b, len(g.sites()), out, g.Rank))
	}
	if h := f.Adapter.Head; h != nil {
		errs = append(errs, add(headBias, safetensors.F32, h.Bias, h.Classes))
		t := safetensors.TensorData{Name: headWeight, DType: types.Head, Shape: []int{h.Classes, h.Features}}
		switch types.Head {
		case safetensors.I8:
			var scale []float32
			t.Data, scale = quantize(h)
			errs = append(errs, add(headScale, safetensors.F32, scale, h.Classes), firstError(headWeight, h.W))
			list = append(list, t)
		case Head24:
			var err error
			t.Shape = append(t.Shape, 3)
			t.Data, err = encode24(headWeight, h.W)
			errs = append(errs, err)
			list = append(list, t)
		default:
			errs = append(errs, add(headWeight, types.Head, h.W, h.Classes, h.Features))
		}
	}
	described, err := f.fitTensors()
	list, errs = append(list, described...), append(errs, err)
	for _, x := range f.Extra {
		values, err := safetensors.Tensor{Name: x.Name, DType: x.DType, Shape: x.Shape, Data: x.Data, File: f.Path}.Float32s(nil)
		if err == nil {
			err = add(x.Name, types.DType, values, x.Shape...)
		}
		errs = append(errs, err)
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// stack concatenates the matrices of a group in the order of its blocks: A [n, r, in] and B [n, out, r].
func (f *File) stack(g SiteGroup) (a, b []float32, in, out int) {
	kind, _ := vit.ParseKind(g.Kind) // cannot fail: groupSites made the name from a kind
	for _, block := range g.sites() {
		d := f.Adapter.Delta(vit.Site{Block: block, Kind: kind})
		a, b = append(a, d.A...), append(b, d.B...)
	}
	n := len(g.sites()) * g.Rank
	return a, b, len(a) / n, len(b) / n
}

// groupName returns the name of the tensors of group i, without the final ".A" or ".B".
func groupName(i int, g SiteGroup) string { return fmt.Sprintf("sites.%d.%s", i, g.Kind) }

// firstError returns an error about the first value that is not finite.
func firstError(name string, values []float32) error {
	if i := firstBad(values); i >= 0 {
		return fmt.Errorf("tensor %s: value %d is %v, expected finite numbers", quote(name), i, values[i])
	}
	return nil
}

// encodeTensor encodes a tensor. It returns an error if a value is not finite, before or after rounding to
// dtype.
func encodeTensor(name string, dtype safetensors.DType, values []float32, shape []int) (safetensors.TensorData, error) {
	if err := firstError(name, values); err != nil {
		return safetensors.TensorData{}, err
	}
	t, err := safetensors.FromFloat32s(name, dtype, shape, values)
	if err != nil || dtype == safetensors.F32 {
		return t, err
	}
	for i, v := range values {
		switch {
		case dtype == safetensors.BF16 && finite(bf16.Widen(bf16.Round(v))):
		case dtype == safetensors.F16 && finite(safetensors.F16ToFloat32(safetensors.Float32ToF16(v))):
		default:
			return t, fmt.Errorf("tensor %s: value %d is %g, too large for %s", quote(name), i, v, dtype)
		}
	}
	return t, nil
}

// quantize rounds each row of the head's weight to integers in [-127, 127] times a scale. The scale is
// max|w|/127 rounded up to 16 significant bits, so that 127*scale is exact, and quantizing values that were
// read back does not change them.
func quantize(h *vit.Head) (q []byte, scale []float32) {
	q, scale = make([]byte, len(h.W)), make([]float32, h.Classes)
	for c := range h.Classes {
		row := h.W[c*h.Features : (c+1)*h.Features]
		var top float32
		for _, v := range row {
			top = max(top, float32(math.Abs(float64(v))))
		}
		if top == 0 {
			continue
		}
		s := math.Float32frombits((math.Float32bits(top/127) + 0xff) &^ 0xff)
		scale[c] = s
		for i, v := range row {
			q[c*h.Features+i] = byte(int8(math.RoundToEven(float64(v) / float64(s))))
		}
	}
	return q, scale
}

// encode24 rounds float32 values to their upper three bytes; see Head24.
func encode24(name string, values []float32) ([]byte, error) {
	if err := firstError(name, values); err != nil {
		return nil, err
	}
	data := make([]byte, 0, 3*len(values))
	for i, v := range values {
		b := math.Float32bits(v)
		b = (b + 0x7f + b>>8&1) >> 8
		if b&0x7f8000 == 0x7f8000 {
			return nil, fmt.Errorf("tensor %s: value %d is %g, too large for 24 bits", quote(name), i, v)
		}
		data = append(data, byte(b), byte(b>>8), byte(b>>16))
	}
	return data, nil
}

// decode24 is the inverse of encode24.
func decode24(data []byte) []float32 {
	values := make([]float32, len(data)/3)
	for i := range values {
		d := data[3*i : 3*i+3]
		values[i] = math.Float32frombits(uint32(d[0])<<8 | uint32(d[1])<<16 | uint32(d[2])<<24)
	}
	return values
}
