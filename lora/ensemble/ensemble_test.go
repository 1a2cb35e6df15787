package ensemble

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"melo.example/melo/lora/adapterfile"
)

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// TestWriteRead: what is written is read, from another folder, too, and its digest follows from its members.
func TestWriteRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "all"+Ending)
	members := []Member{{filepath.Join(dir, "a.safetensors"), digest("a")}, {filepath.Join(dir, "sub", "b.safetensors"), digest("b")}}
	if err := Write(path, members); err != nil {
		t.Fatal(err)
	}
	l, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Members) != 2 || l.Members[1].Path != "sub/b.safetensors" || l.File(1) != members[1].Path || l.File(0) != members[0].Path {
		t.Errorf("%+v", l)
	}
	members[1].Digest = digest("c")
	if err := Write(path, members); err != nil {
		t.Fatal(err)
	}
	other, err := Read(path)
	if err != nil || other.Digest == l.Digest {
		t.Errorf("another member, the same digest: %v", err)
	}
	if err := Write(filepath.Join(dir, "all.json"), members); err == nil {
		t.Error("a name without the ending was taken")
	}
}

// TestRead: what is no list is refused, with what was expected.
func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x"+Ending)
	member := func(p, d string) string { return `{"path":"` + p + `","digest":"` + d + `"}` }
	list := func(members ...string) string {
		return `{"format":"melo-ensemble","version":1,"members":[` + strings.Join(members, ",") + `]}`
	}
	a, b := member("a.safetensors", digest("a")), member("b.safetensors", digest("b"))
	for text, want := range map[string]string{
		"":                                       "expected a JSON object",
		"[]":                                     "expected a JSON object",
		`{"format":"melo-adapter"}`:              `"melo-adapter"`,
		list(a):                                  "1 members",
		list(a, a):                               "twice",
		list(a, member("", digest("b"))):         "path",
		list(a, member("b", "sha256:00")):        "digest",
		list(a, member("b"+Ending, digest("b"))): "an ensemble itself",
		list(a, b) + "{}":                        "something after",
		`{"format":"melo-ensemble","version":1,"weights":[1],"members":[]}`: "weights",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.80s: %v, want %q", text, err, want)
		}
	}
}

// FuzzRead: no file panics, and what is read is within its bounds.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"format":"melo-ensemble","version":1,"members":[{"path":"a","digest":"` + digest("a") + `"},{"path":"b","digest":"` + digest("b") + `"}]}`))
	f.Add([]byte(`{"members":`))
	path := filepath.Join(f.TempDir(), "x"+Ending)
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := Read(path); err == nil && (len(l.Members) < 2 || len(l.Members) > MaxMembers || l.File(0) == "") {
			t.Errorf("%+v", l)
		}
	})
}

// TestEnsembleOfFolds: what members were trained on is not a test split of the ensemble.
func TestEnsembleOfFolds(t *testing.T) {
	of := func(fold int, seed uint64) Part {
		return Part{Meta: &adapterfile.Metadata{Training: &adapterfile.Training{Data: &adapterfile.DataInfo{Digest: "sha256:a"}, Split: &adapterfile.SplitInfo{Seed: seed, Test: 5},
			Hyperparameters: map[string]any{"folds": 5, "fold": fold}}}}
	}
	if x := trainingOf([]Part{of(1, 1), of(1, 1)}); x.Split == nil {
		t.Error("seeds of one split have no split")
	}
	for _, other := range []Part{of(2, 1), of(1, 2)} {
		if x := trainingOf([]Part{of(1, 1), other}); x == nil || x.Split != nil || x.Data.Digest != "sha256:a" {
			t.Errorf("%+v", x)
		}
	}
}
