package convert

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/internal/golden"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit"
)

// openBase opens a golden base.
func openBase(t *testing.T, name string) *Base {
	t.Helper()
	path := filepath.Join(golden.Root(t), name)
	m, err := vit.Open(path, vit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := adapterfile.BaseDigest(path)
	if err != nil {
		t.Fatal(err)
	}
	return &Base{path, m, digest}
}

// native writes an adapter for a base, in which everything that other formats have no place for is there.
func native(t *testing.T, b *Base, cfg lora.Config) string {
	t.Helper()
	a, err := lora.New(&b.Model.Config, cfg, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range a.Deltas {
		for i := range d.B {
			d.B[i] = float32(i%7+1) / 16
		}
	}
	for i := range a.Head.Bias {
		a.Head.Bias[i] = float32(i) - 0.5
	}
	f := &adapterfile.File{Adapter: a, Meta: adapterfile.Metadata{
		Base: adapterfile.NewBase(&b.Model.Config, filepath.Base(b.Path), b.Path, b.Digest), Method: lora.MeLo, Task: adapterfile.Multiclass,
		Labels: adapterfile.Labels("benign", "malignant", "normal"), Recipe: b.Model.Recipe, Temperatures: []float64{2}, Licence: "CC0-1.0",
	}}
	path := filepath.Join(t.TempDir(), "native.safetensors")
	if err := f.WriteTypes(path, adapterfile.Types{DType: safetensors.F32}); err != nil {
		t.Fatal(err)
	}
	return path
}

// converted does what "melo convert" does.
func converted(o Options, base *Base) (*Document, error) {
	from, err := Format(o.In)
	if err != nil {
		return nil, err
	}
	if err := o.Settle(from); err != nil {
		return nil, err
	}
	f, err := ReadAdapter(o, from, base)
	if err != nil {
		return nil, err
	}
	return WriteAdapter(o, from, f, base)
}

// tensors reads a file of tensors, or the one of a PEFT folder.
func tensors(t *testing.T, path string) *safetensors.File {
	t.Helper()
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "adapter_model.safetensors")
	}
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// sameTensors fails unless two files have the same tensors, bit for bit.
func sameTensors(t *testing.T, what string, got, want *safetensors.File) {
	t.Helper()
	if !slices.Equal(got.Names(), want.Names()) {
		t.Errorf("%s: tensors %v, want %v", what, got.Names(), want.Names())
		return
	}
	for _, name := range want.Names() {
		a, _ := want.Tensor(name)
		if b, _ := got.Tensor(name); a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) || !bytes.Equal(a.Data, b.Data) {
			t.Errorf("%s: tensor %s differs", what, name)
		}
	}
}

// TestFormat: what lies at a path, by what it is.
func TestFormat(t *testing.T) {
	root := golden.Root(t)
	for path, want := range map[string]string{
		native(t, openBase(t, "hf_vit"), lora.Config{}):             "native",
		filepath.Join(root, "adapters/loravit/adapter.safetensors"): "loravit",
		filepath.Join(root, "adapters/peft_qv"):                     "peft",
		filepath.Join(root, "hf_vit"):                               "base",
		filepath.Join(root, "timm_vit", "model.safetensors"):        "base",
		filepath.Join(root, "adapters/peft_qv/missing.safetensors"): "",
		filepath.Join(root, "adapters"):                             "",
	} {
		got, err := Format(path)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.As(err, new(*InputError)) {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
}

// TestSettle: options that make no sense for an adapter are refused, with the reason; what is not given gets its default.
func TestSettle(t *testing.T) {
	for _, c := range []struct {
		o    Options
		from string
		want string // in the error; empty: none
		to   string
	}{
		{Options{}, "native", "give --to loravit", ""},
		{Options{}, "peft", "", "native"},
		{Options{To: "native"}, "native", "", "native"},
		{Options{To: "hf"}, "peft", "--to hf is for bases", ""},
		{Options{To: "timm"}, "native", "--to timm is for bases", ""},
		{Options{Alpha: 1}, "loravit", "", "native"},
		{Options{Alpha: 1}, "peft", "--alpha is for LoRA-ViT files", ""},
		{Options{Blocks: []int{1}}, "peft", "--blocks is for LoRA-ViT files", ""},
		{Options{Blocks: []int{1}}, "loravit", "", "native"},
		{Options{To: "peft", Labels: []string{"a"}}, "native", "--labels is for formats that do not know them", ""},
		{Options{Labels: []string{"a"}}, "peft", "", "native"},
		{Options{To: "peft", Task: adapterfile.Binary}, "native", "--task is for formats that do not know it", ""},
		{Options{Names: adapterfile.NamesTimm}, "loravit", "--names is for PEFT folders", ""},
		{Options{To: "peft", Names: adapterfile.NamesTimm}, "loravit", "", "peft"},
		{Options{Bare: true}, "loravit", "--bare is for PEFT folders", ""},
		{Options{To: "loravit", Head: safetensors.I8}, "native", "--head is for native files (native to loravit)", ""},
		{Options{Head: safetensors.I8}, "loravit", "", "native"},
	} {
		err := c.o.Settle(c.from)
		switch {
		case c.want == "" && (err != nil || c.o.To != c.to || c.o.DType != safetensors.F32):
			t.Errorf("from %s: %v, %+v", c.from, err, c.o)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, new(*OptionError))):
			t.Errorf("from %s: %v, want %q", c.from, err, c.want)
		}
	}
}

// TestRoundTrip: from native through either format and back every tensor is as it was, and what has no place in the other format
// is named.
func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		base, to string
		names    adapterfile.Names
		lost     []string
	}{
		{"timm_vit", "loravit", "", []string{"labels", "bias of the head", "temperatures", "recipe", "digest of the base", "licence"}},
		{"hf_vit", "peft", adapterfile.NamesHF4, []string{"labels", "temperatures", "recipe", "digest of the base", "licence"}},
		{"hf_vit", "peft", adapterfile.NamesHF5, []string{"labels", "temperatures", "recipe", "digest of the base", "licence"}},
		{"hf_vit", "peft", adapterfile.NamesTimm, []string{"labels", "temperatures", "recipe", "digest of the base", "licence"}},
		{"timm_vit", "peft", "", []string{"labels", "temperatures", "recipe", "digest of the base", "licence"}},
	} {
		b := openBase(t, c.base)
		in, dir := native(t, b, lora.Config{Alpha: 8}), t.TempDir()
		through, back := filepath.Join(dir, "through"), filepath.Join(dir, "back.safetensors")
		doc, err := converted(Options{In: in, Out: through, To: c.to, Names: c.names}, nil)
		if err != nil {
			t.Fatal(c, err)
		}
		if doc.In.Format != "native" || doc.Out.Format != c.to || doc.In.Bytes == 0 || doc.Out.Bytes == 0 || doc.Head != 3*(32+1) || !slices.Equal(doc.Lost, c.lost) {
			t.Errorf("%v: %+v", c, doc)
		}
		if c.to == "loravit" && (doc.Alpha == nil || *doc.Alpha != 8) {
			t.Errorf("%v: alpha %v", c, doc.Alpha)
		}
		again, err := converted(Options{In: through, Out: back, Labels: []string{"benign", "malignant", "normal"}}, b)
		if err != nil {
			t.Fatal(c, err)
		}
		if again.In.Format != c.to || again.Deltas != doc.Deltas || len(again.Lost) != 0 || !slices.Equal(again.Labels, []string{"benign", "malignant", "normal"}) {
			t.Errorf("%v: %+v", c, again)
		}
		f, err := adapterfile.Read(back)
		if err != nil {
			t.Fatal(c, err)
		}
		if f.Meta.Base.Digest != b.Digest || f.Meta.Recipe != b.Model.Recipe || f.Meta.Base.ID == "" {
			t.Errorf("%v: the base is recorded as %+v", c, f.Meta.Base)
		}
		if len(again.Notes) != 0 {
			t.Errorf("%v: %v", c, again.Notes)
		}
		sameTensors(t, c.to, tensors(t, back), tensors(t, in))
	}
}

// TestWhatIsNotTold: without base and labels the result is still an adapter, and what it lacks is said.
func TestWhatIsNotTold(t *testing.T) {
	root, out := golden.Root(t), filepath.Join(t.TempDir(), "out.safetensors")
	doc, err := converted(Options{In: filepath.Join(root, "adapters/peft_qv"), Out: out}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Notes) != 2 || !strings.Contains(doc.Notes[0], "--base") || !strings.Contains(doc.Notes[1], "--labels") {
		t.Errorf("%+v", doc.Notes)
	}
	_, err = converted(Options{In: filepath.Join(root, "adapters/loravit/adapter.safetensors"), Out: out}, nil)
	if !errors.As(err, new(*OptionError)) || !strings.Contains(err.Error(), "give --alpha") {
		t.Errorf("without alpha: %v", err)
	}
}

// TestTypes: the numbers of what is written.
func TestTypes(t *testing.T) {
	in, out := native(t, openBase(t, "hf_vit"), lora.Config{}), filepath.Join(t.TempDir(), "out")
	for _, c := range []struct {
		o    Options
		want map[string]string // tensors and their types; empty: not there
	}{
		{Options{To: "native"}, map[string]string{"sites.0.q.A": "F32", "head.weight": "F32"}},
		{Options{To: "native", DType: safetensors.BF16}, map[string]string{"sites.0.q.A": "BF16", "head.weight": "I8", "head.bias": "F32"}},
		{Options{To: "native", Head: adapterfile.Head24}, map[string]string{"sites.0.q.A": "F32", "head.weight": "U8"}},
		{Options{To: "loravit", DType: safetensors.F16}, map[string]string{"w_a_005": "F16", "fc_32in_3out": "F16", "fc_32in_3out_bias": "F16"}},
		{Options{To: "loravit", DropHead: true}, map[string]string{"w_b_000": "F32", "fc_32in_3out": ""}},
	} {
		c.o.In, c.o.Out = in, out
		doc, err := converted(c.o, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := tensors(t, out)
		for name, dtype := range c.want {
			if x, _ := f.Tensor(name); string(x.DType) != dtype {
				t.Errorf("%+v: %s is %q, expected %q", c.o, name, x.DType, dtype)
			}
		}
		if c.o.DropHead && (doc.Head != 0 || len(doc.Labels) != 0 || !slices.Contains(doc.Lost, "head") || slices.Contains(doc.Lost, "labels")) {
			t.Errorf("without its head: %+v", doc)
		}
	}
}

// TestDroppedHeadTakesWhatIsSaidOfIt: a native file without a head says nothing of labels and answers.
func TestDroppedHeadTakesWhatIsSaidOfIt(t *testing.T) {
	in, out := native(t, openBase(t, "hf_vit"), lora.Config{}), filepath.Join(t.TempDir(), "out.safetensors")
	if _, err := converted(Options{In: in, Out: out, To: "native", DropHead: true}, nil); err != nil {
		t.Fatal(err)
	}
	f, err := adapterfile.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	if m := f.Meta; f.Adapter.Head != nil || m.Task != "" || m.Labels != nil || m.Temperatures != nil || m.SelfTest != nil || m.Licence != "CC0-1.0" {
		t.Errorf("%+v", m)
	}
}

// TestFoldScale: a scale that is multiplied into B leaves the product as it was.
func TestFoldScale(t *testing.T) {
	in, out := native(t, openBase(t, "hf_vit"), lora.Config{Alpha: 6}), filepath.Join(t.TempDir(), "out.safetensors")
	if _, err := converted(Options{In: in, Out: out, To: "loravit"}, nil); err == nil || !errors.As(err, new(*InputError)) || !strings.Contains(err.Error(), "1.5") {
		t.Errorf("a scale that LoRA-ViT cannot express: %v", err)
	}
	if _, err := converted(Options{In: in, Out: out, To: "native", FoldScale: true}, nil); err != nil {
		t.Fatal(err)
	}
	before, err := adapterfile.Read(in)
	if err != nil {
		t.Fatal(err)
	}
	after, err := adapterfile.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range before.Adapter.Deltas {
		e := after.Adapter.Deltas[i]
		if d.Scale != 1.5 || e.Scale != 1 || e.Rank != d.Rank {
			t.Fatalf("scale %v became %v", d.Scale, e.Scale)
		}
		for k := range d.B {
			if d.B[k]*1.5 != e.B[k] {
				t.Fatalf("B %v became %v", d.B[k], e.B[k])
			}
		}
	}
}

// TestWrongBase: an adapter is not converted for a base that it does not belong to, and the old output stays.
func TestWrongBase(t *testing.T) {
	in, out := native(t, openBase(t, "hf_vit"), lora.Config{}), filepath.Join(t.TempDir(), "out.safetensors")
	if err := os.WriteFile(out, []byte("the old one"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := openBase(t, "hf_vit")
	other.Digest = "sha256:" + strings.Repeat("0", 64)
	for what, b := range map[string]*Base{"another digest": other, "another shape": openBase(t, "dinov2")} {
		if _, err := converted(Options{In: in, Out: out, To: "native"}, b); !errors.As(err, new(*InputError)) {
			t.Errorf("%s: %v", what, err)
		}
		if b == other {
			continue
		}
		if _, err := converted(Options{In: filepath.Join(golden.Root(t), "adapters/peft_qv"), Out: out}, b); !errors.As(err, new(*InputError)) {
			t.Errorf("%s, PEFT: %v", what, err)
		}
	}
	if text, err := os.ReadFile(out); err != nil || string(text) != "the old one" {
		t.Errorf("the output is %q, %v", text, err)
	}
}

// TestWriteBase: to the names of the other library and back gives the same tensors; whoever interrupts it gets nothing.
func TestWriteBase(t *testing.T) {
	in, dir := filepath.Join(golden.Root(t), "hf_vit"), t.TempDir()
	timm, back := filepath.Join(dir, "timm"), filepath.Join(dir, "back")
	doc, err := WriteBase(t.Context(), Options{In: in, Out: timm, To: "timm"})
	if err != nil {
		t.Fatal(err)
	}
	want, err := adapterfile.BaseDigest(in)
	if err != nil {
		t.Fatal(err)
	}
	written, err := adapterfile.BaseDigest(timm)
	if err != nil {
		t.Fatal(err)
	}
	if doc.In.Format != "hf" || doc.Out.Format != "timm" || doc.In.Digest != want || doc.Out.Digest != written || doc.Out.Bytes == 0 {
		t.Errorf("%+v", doc)
	}
	if again, err := WriteBase(t.Context(), Options{In: timm, Out: back, To: "hf"}); err != nil || again.In.Format != "timm" || again.Out.Format != "hf" {
		t.Fatal(again, err)
	}
	one, other := openBase(t, "hf_vit").Model, func() *vit.Model {
		m, err := vit.Open(back, vit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}()
	// timm has no place for the epsilon of this base, nor for how its images are resized, which is said.
	for _, part := range []string{"epsilon 1e-06, this base 1e-12", "timm resizes with Pillow"} {
		if !slices.ContainsFunc(doc.Notes, func(n string) bool { return strings.Contains(n, part) }) {
			t.Errorf("notes %q lack %q", doc.Notes, part)
		}
	}
	other.Eps, other.Recipe.Resampling = one.Eps, one.Recipe.Resampling
	if one.Config != other.Config || one.Recipe != other.Recipe {
		t.Errorf("%+v, %+v became %+v, %+v", one.Config, one.Recipe, other.Config, other.Recipe)
	}
	for _, p := range one.Config.Params() {
		if a, b := one.Parameter(p.Name), other.Parameter(p.Name); len(a) != p.Len() || !slices.Equal(a, b) {
			t.Errorf("%s differs", p.Name)
		}
	}
	if _, err := WriteBase(t.Context(), Options{In: filepath.Join(golden.Root(t), "adapters/peft_qv"), Out: back, To: "hf"}); !errors.As(err, new(*InputError)) {
		t.Errorf("an adapter as a base: %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	never := filepath.Join(dir, "never")
	if _, err := WriteBase(stopped, Options{In: in, Out: never, To: "timm"}); !errors.Is(err, context.Canceled) || errors.As(err, new(*InputError)) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := os.Stat(never); err == nil {
		t.Error("an interrupted conversion left a folder")
	}
}

// TestBytesAt: of a folder the files of an adapter or a base count, and no others.
func TestBytesAt(t *testing.T) {
	dir := t.TempDir()
	for name, n := range map[string]int{"adapter_config.json": 3, "adapter_model.safetensors": 20, "README.md": 100, "model.safetensors": 400, "notes.txt": 1000} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := bytesAt(dir); n != 423 {
		t.Errorf("%d bytes, want 423", n)
	}
	if n := bytesAt(filepath.Join(dir, "notes.txt")); n != 1000 {
		t.Errorf("a file: %d bytes", n)
	}
	if n := bytesAt(filepath.Join(dir, "none")); n != 0 {
		t.Errorf("nothing: %d bytes", n)
	}
}
