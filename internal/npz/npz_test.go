package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func open(t testing.TB, path string, limits Limits) *File {
	t.Helper()
	f, err := Open(path, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func array(t testing.TB, f *File, name string) *Array {
	t.Helper()
	x, err := f.Array(name)
	if err != nil || x == nil {
		t.Fatalf("%s: %v, %v", name, x, err)
	}
	return x
}

// ramp is element i of the arrays that tools/golden_npz writes.
func ramp(i int) int64 { return int64((7*i + 3) % 251) }

// TestEqualsNumPy reads every type from stored and compressed archives, in memory and from a temporary file.
func TestEqualsNumPy(t *testing.T) {
	for _, c := range []struct {
		file   string
		limits Limits
	}{{"stored.npz", Limits{}}, {"packed.npz", Limits{}}, {"packed.npz", Limits{Memory: 1}}} {
		f := open(t, "testdata/"+c.file, c.limits)
		want := map[string]func(i int) int64{
			"u1": ramp, "u2": func(i int) int64 { return 257 * ramp(i) }, "u2big": func(i int) int64 { return 257 * ramp(i) },
			"i1": func(i int) int64 { return int64(int8(ramp(i))) },
			"i8": func(i int) int64 { return ramp(i) - 100 }, "i4big": func(i int) int64 { return ramp(i) - 100 },
			"bool": func(i int) int64 { return map[bool]int64{true: 1}[i%3 == 0] },
		}
		for name, element := range want {
			x := array(t, f, name)
			row := make([]byte, x.RowBytes())
			n := x.RowBytes() / x.Type.Size
			for _, r := range []int{x.Rows() - 1, 0, x.Rows() / 2} {
				if err := x.Row(r, row); err != nil {
					t.Fatal(err)
				}
				for k := range n {
					if got := x.Type.integer(row[k*x.Type.Size : (k+1)*x.Type.Size]); got != element(r*n+k) {
						t.Fatalf("%+v %s (%s) row %d element %d: got %d, expected %d", c, name, x.Type, r, k, got, element(r*n+k))
					}
				}
			}
			if x.Type.Kind == 'u' && x.Type.Size == 2 {
				got := make([]uint16, n)
				x.Type.Uint16s(got, row)
				if int64(got[1]) != element(x.Rows()/2*n+1) {
					t.Errorf("%s: got %v", name, got)
				}
			}
			if c.limits.Memory == 1 {
				continue // too large for Ints, by that limit
			}
			all, err := x.Ints()
			if err != nil || len(all) != x.Rows()*n || all[len(all)-1] != element(len(all)-1) {
				t.Errorf("%s: %v, %v", name, all, err)
			}
		}
		if c.limits.Memory == 1 && len(f.temporary) != len(want) {
			t.Errorf("%d temporary files, expected %d", len(f.temporary), len(want))
		}
		if x := array(t, f, "none"); x.Rows() != 0 || !slices.Equal(x.Shape, []int{0, 28, 28}) {
			t.Errorf("empty array: %v", x.Shape)
		}
		if _, err := array(t, f, "f4").Ints(); err == nil || !strings.Contains(err.Error(), "f4: float32: expected integers") {
			t.Errorf("floats as integers: %v", err)
		}
		if names := f.Names(); len(names) != 9 || names[0] != "u1" {
			t.Errorf("names: %v", names)
		}
		if x, err := f.Array("missing"); x != nil || err != nil {
			t.Errorf("missing array: %v, %v", x, err)
		}
	}
	f := open(t, "testdata/versions.npz", Limits{})
	for _, name := range []string{"v2", "v3"} {
		if all, err := array(t, f, name).Ints(); err != nil || len(all) != 60 || all[59] != ramp(59) {
			t.Errorf("%s: %v, %v", name, all, err)
		}
	}
}

// pack is an archive of one array, its header given by hand.
func pack(t testing.TB, method uint16, dict string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateHeader(&zip.FileHeader{Name: "x.npy", Method: method})
	if err != nil {
		t.Fatal(err)
	}
	head := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(head[8:], uint16(len(dict)))
	for _, part := range [][]byte{head, []byte(dict), body} {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func dict(descr, order, shape string) string {
	return fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n", descr, order, shape)
}

// TestRefuses: each error names the archive, the array, what was found and what was expected.
func TestRefuses(t *testing.T) {
	zeros := make([]byte, 24)
	good := pack(t, zip.Deflate, dict("'|u1'", "False", "(2, 12)"), zeros)
	lying := bytes.Clone(good) // sizes of the directory entry that cannot be
	at := bytes.Index(lying, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(lying[at+24:], 1<<31)
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not a valid zip"},
		{"text", []byte("path,label\n"), "not a valid zip"},
		{"cut", good[:len(good)-10], "not a valid zip"},
		{"not npy", pack(t, 0, "", nil)[:0], "not a valid zip"},
		{"fewer elements", pack(t, 0, dict("'|u1'", "False", "(3, 12)"), zeros), "uint8[3 12] takes 36 bytes: the entry has 24"},
		{"more elements", pack(t, 8, dict("'|u1'", "False", "(1, 12)"), zeros), "takes 12 bytes: the entry has 24"},
		{"overflow", pack(t, 8, dict("'<i8'", "False", "(281474976710655, 281474976710655)"), zeros), "too large"},
		{"negative", pack(t, 8, dict("'|u1'", "False", "(-2, 12)"), zeros), "shape: expected at most 8 sizes"},
		{"sizes", pack(t, 8, dict("'|u1'", "False", "(1,1,1,1,1,1,1,1,24)"), zeros), "at most 8 sizes"},
		{"empty rows", pack(t, 8, dict("'|u1'", "False", "(281474976710655, 0)"), nil), "rows are empty"},
		{"no dimensions", pack(t, 8, dict("'|u1'", "False", "()"), zeros[:1]), "a single number"},
		{"fortran", pack(t, 8, dict("'|u1'", "True", "(2, 12)"), zeros), "Fortran order"},
		{"order", pack(t, 8, dict("'|u1'", "Maybe", "(2, 12)"), zeros), `fortran_order "Maybe"`},
		{"objects", pack(t, 8, dict("'|O'", "False", "(2, 12)"), zeros), `type "|O"`},
		{"unclosed", pack(t, 8, "{'descr': '|u1", zeros), "expected a string"},
		{"missing key", pack(t, 8, "{'descr': '|u1', 'shape': (2, 12)}", zeros), "expected descr, fortran_order and shape"},
		{"other key", pack(t, 8, "{'desc': '|u1'}", zeros), `key "desc"`},
		{"code", pack(t, 8, "__import__('os')", zeros), `expected "{"`},
		{"lying size", lying, "takes 24 bytes: the entry has"},
	} {
		path := filepath.Join(t.TempDir(), "a.npz")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path, Limits{})
		if err == nil {
			_, err = f.Array("x")
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, expected %q", c.name, err, c.want)
		}
	}
	if _, err := Open(t.TempDir(), Limits{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("folder: %v", err)
	}
	f := open(t, "testdata/odd.npz", Limits{})
	for name, want := range map[string]string{"fortran": "Fortran order", "scalar": "a single number", "complex": `type "<c8"`, "text": `type "<U2"`, "record": "structured"} {
		if _, err := f.Array(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestDamaged: a compressed array whose bytes do not have the checksum is refused as a whole.
func TestDamaged(t *testing.T) {
	body := make([]byte, 24)
	for i := range body {
		body[i] = byte(i * 89)
	}
	data := pack(t, zip.Deflate, dict("'|u1'", "False", "(2, 12)"), body)
	at := bytes.Index(data, []byte("PK\x01\x02"))
	data[at+16] ^= 1 // the checksum in the directory
	for _, limits := range []Limits{{}, {Memory: 1}} {
		path := filepath.Join(t.TempDir(), "a.npz")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		x := array(t, open(t, path, limits), "x")
		for range 2 {
			if err := x.Row(0, make([]byte, 12)); err == nil || !strings.Contains(err.Error(), "checksum") {
				t.Errorf("got %v", err)
			}
		}
	}
}

// TestBomb: what a small file unpacks to is bounded in memory and on disk.
func TestBomb(t *testing.T) {
	body := make([]byte, 40<<20)
	path := filepath.Join(t.TempDir(), "bomb.npz")
	if err := os.WriteFile(path, pack(t, zip.Deflate, dict("'|u1'", "False", "(40, 1048576)"), body), 0o600); err != nil {
		t.Fatal(err)
	}
	row := make([]byte, 1<<20)
	err := array(t, open(t, path, Limits{Memory: 1 << 20, Disk: 30 << 20}), "x").Row(0, row)
	if err == nil || !strings.Contains(err.Error(), "41943040 bytes unpacked: the limit is 31457280") {
		t.Errorf("got %v", err)
	}
	before := allocated()
	if err := array(t, open(t, path, Limits{Memory: 1 << 20}), "x").Row(39, row); err != nil {
		t.Error(err)
	}
	if got := allocated() - before; got > 2<<20 {
		t.Errorf("%d bytes allocated for an array on disk", got)
	}
}

func allocated() uint64 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.TotalAlloc
}

func TestInteger(t *testing.T) {
	for _, c := range []struct {
		typ  Type
		b    []byte
		want int64
	}{
		{Type{'i', 1, false}, []byte{0xff}, -1}, {Type{'u', 1, false}, []byte{0xff}, 255},
		{Type{'i', 2, true}, []byte{0x80, 1}, -32767}, {Type{'u', 8, false}, bytes.Repeat([]byte{255}, 8), math.MaxInt64},
	} {
		if got := c.typ.integer(c.b); got != c.want {
			t.Errorf("%s of %v: got %d, expected %d", c.typ, c.b, got, c.want)
		}
	}
}

// FuzzArray demands rows or errors of any bytes, and memory that follows their size.
func FuzzArray(f *testing.F) {
	files, err := filepath.Glob("testdata/*.npz")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds:", err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(pack(f, zip.Deflate, dict("'|u1'", "False", "(2, 12)"), make([]byte, 24)))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, fmt.Sprint(os.Getpid(), ".npz"))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		before := allocated()
		a, err := Open(path, Limits{Memory: 1 << 20, Disk: 1 << 20})
		if err != nil {
			return
		}
		defer a.Close()
		for _, name := range a.Names() {
			x, err := a.Array(name)
			if err != nil || x == nil || x.RowBytes() > 1<<20 {
				continue
			}
			for _, r := range []int{0, x.Rows() - 1} {
				_ = x.Row(r, make([]byte, x.RowBytes()))
			}
			_, _ = x.Ints()
		}
		if got := allocated() - before; got > uint64(16<<20+200*len(data)) {
			t.Errorf("%d bytes allocated for an archive of %d", got, len(data))
		}
	})
}

// FuzzHeader demands a header that agrees with itself, or an error.
func FuzzHeader(f *testing.F) {
	for _, d := range []string{dict("'|u1'", "False", "(10, 28, 28)"), dict("'<i8'", "True", "(3,)"), `{"shape":(2L,),"descr":">f4","fortran_order":False}`, "{'descr': [('a','u1')]}"} {
		f.Add(append([]byte{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, byte(len(d)), 0}, d...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := readHeader(bytes.NewReader(data))
		if err != nil {
			return
		}
		n := int64(h.typ.Size)
		for _, s := range h.shape {
			n *= int64(s)
		}
		if n != h.bytes || n < 0 || h.size > int64(len(data)) {
			t.Errorf("%+v of %q", h, data)
		}
	})
}
