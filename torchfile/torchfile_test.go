package torchfile

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/safetensors"
)

// Every tensor of every form of file is the one that PyTorch saved (tools/golden_torchfile).
func TestGolden(t *testing.T) {
	for name, noted := range map[string]int{"plain": 0, "legacy": 0, "protocol4": 0, "trainer": 0, "legacy_trainer": 0, "dino": 1, "parameters": 0, "script": 0} {
		want, err := safetensors.Open("testdata/" + name + ".safetensors")
		if err != nil {
			t.Fatal(err)
		}
		defer want.Close()
		got, notes, err := Open("testdata/" + name + ".pth")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(notes) != noted {
			t.Errorf("%s: notes %q", name, notes)
		}
		if !slices.Equal(got.Names(), want.Names()) {
			t.Errorf("%s: %q, expected %q", name, got.Names(), want.Names())
		}
		for _, n := range want.Names() {
			w, _ := want.Tensor(n)
			g, _ := got.Tensor(n)
			if g.DType != w.DType || !slices.Equal(g.Shape, w.Shape) || !bytes.Equal(g.Data, w.Data) {
				t.Errorf("%s: %s is %s %d, expected %s %d, or has other numbers", name, n, g.DType, g.Shape, w.DType, w.Shape)
			}
			g.Forget()
		}
		if err := got.Close(); err != nil {
			t.Error(err)
		}
	}
}

// pickled is a file of torch.save with that text as data.pkl.
func pickled(text string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, body := range map[string]string{"x/data.pkl": text, "x/byteorder": "little", "x/data/0": "0123456789abcdef"} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			panic(err)
		}
		w.Write([]byte(body))
	}
	z.Close()
	return b.Bytes()
}

// tensorOf is the pickle of {"w": a float32 tensor of storage 0}, whose offset, size and stride are given.
func tensorOf(offset, size, stride byte, count byte) string {
	return "\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK" +
		string([]byte{count}) + "tQK" + string([]byte{offset}) + "K" + string([]byte{size}) + "\x85K" + string([]byte{stride}) + "\x85\x89}tRs."
}

func TestRefuses(t *testing.T) {
	if _, _, err := Parse(pickled(tensorOf(1, 3, 1, 4))); err != nil {
		t.Fatal(err)
	}
	empty, _, err := Parse(pickled(tensorOf(0, 0, 1, 0)))
	if err != nil || len(empty) != 1 || len(empty[0].Data) != 0 {
		t.Errorf("a tensor without numbers: %v, %v", empty, err)
	}
	for want, data := range map[string][]byte{
		"os.system":                pickled("\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."),
		"builtins.eval":            pickled("\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R."),
		"builtins.getattr":         pickled("\x80\x02cbuiltins\ngetattr\nNN\x86R."),
		"__torch__.x.Net":          pickled("\x80\x02c__torch__.x\nNet\n)\x81."),
		"ends behind its storage":  pickled(tensorOf(2, 3, 1, 4)),
		"from 0 ends behind":       pickled(tensorOf(0, 3, 2, 4)),
		"its storage has 4":        pickled(tensorOf(0, 5, 0, 4)),
		"expected 5 elements":      pickled(tensorOf(0, 3, 1, 5)),
		"no tensors by name":       pickled("\x80\x02}."),
		"opcode":                   pickled("\x80\x02\x82\x01."),
		"protocol 9":               pickled("\x80\x09."),
		"ends at byte":             pickled("\x80\x02("),
		"without data.pkl":         func() []byte { b := pickled("N."); return bytes.ReplaceAll(b, []byte("data.pkl"), []byte("dato.pkl")) }(),
		"is no file of torch.save": []byte("hello"),
		"not of torch.save":        []byte("\x80\x02}."),
	} {
		if _, _, err := Parse(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	whole, err := os.ReadFile("testdata/whole.pth")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Parse(whole); err == nil || !strings.Contains(err.Error(), "Net") {
		t.Errorf("a module saved whole: %v", err)
	}
}

// A value that holds itself ends.
func TestCycle(t *testing.T) {
	loop := "\x80\x02}q\x00X\x01\x00\x00\x00ah\x00sX\x01\x00\x00\x00w" + tensorOf(0, 2, 1, 4)[9:]
	if _, _, err := Parse(pickled(loop)); err != nil && !strings.Contains(err.Error(), "twice") {
		t.Error(err)
	}
}

// Damage anywhere in a file is an error or harmless, never a panic, and costs no more memory than the file.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.pth")
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(pickled(tensorOf(1, 3, 1, 4)))
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, _, err := Parse(data)
		if err != nil {
			return
		}
		for _, x := range tensors {
			n := x.DType.Size()
			for _, d := range x.Shape {
				n *= d
			}
			if n != len(x.Data) {
				t.Fatalf("%s: %d bytes for %s %d", x.Name, len(x.Data), x.DType, x.Shape)
			}
		}
	})
}

// A file that ends early is refused wherever it ends.
func TestTruncated(t *testing.T) {
	for _, name := range []string{"plain", "legacy"} {
		data, err := os.ReadFile("testdata/" + name + ".pth")
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(data); n += 97 {
			if _, _, err := Parse(data[:n:n]); err == nil {
				t.Errorf("%s: %d of %d bytes are accepted", name, n, len(data))
			}
		}
	}
}
