package serve

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/vit"
)

// scan looks at the folder and fails the test if that does.
func scan(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.Registry().Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ask returns the digest that answers, and the error.
func ask(t *testing.T, e *Engine, name, version string) (string, error) {
	t.Helper()
	answers, errs := e.Predict(t.Context(), Request{Name: name, Version: version, Input: Input{Tensor: tensor(1)}})
	return answers[0].Digest, errs[0]
}

// expect checks which digest answers.
func expect(t *testing.T, e *Engine, name, version, digest string) {
	t.Helper()
	if got, err := ask(t, e, name, version); err != nil || got != digest {
		t.Errorf("%s is answered by %.20s, %v; expected %.20s", full(name, version), got, err, digest)
	}
}

// refuse checks that nobody answers, and why.
func refuse[E error](t *testing.T, e *Engine, name, version, says string) {
	t.Helper()
	_, err := ask(t, e, name, version)
	var want E
	if err == nil || !errors.As(err, &want) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, expected a %T that says %q", full(name, version), err, want, says)
	}
}

func TestVersions(t *testing.T) {
	dir := t.TempDir()
	one := publish(t, dir, "busi", someAdapter(1))
	e := newEngine(t, 1, Config{Adapters: dir, State: filepath.Join(t.TempDir(), "state.json")})
	r := e.Registry()
	expect(t, e, "busi", "", one)
	two := publish(t, dir, "busi@v2", someAdapter(2))
	refuse[*UnknownError](t, e, "busi", "v2", "busi@v2") // nobody has looked yet
	scan(t, e)
	expect(t, e, "busi", "", one)
	expect(t, e, "busi", "v2", two)
	expect(t, e, "busi@v2", "", two)
	expect(t, e, "busi", two, two)
	expect(t, e, "busi", short(two), two)
	expect(t, e, "busi", two[len(digestPrefix):][:minPrefix], two)
	refuse[*UnknownError](t, e, "busi", two[:len(digestPrefix)+minPrefix-1], "unknown")
	refuse[*UnknownError](t, e, "busi", "v3", "unknown")
	refuse[*UnknownError](t, e, "nobody", "", "unknown")

	// A new file under the bare name is what it means now; the old digest is gone with its file.
	three := publish(t, dir, "busi", someAdapter(3))
	if err := r.Load(t.Context(), "busi"); err != nil {
		t.Error(err)
	}
	expect(t, e, "busi", "", three)
	refuse[*UnknownError](t, e, "busi", one, "unknown")

	// Operators decide, whatever the files say.
	if err := errors.Join(r.SetAlias("busi", "current", two), r.SetAlias("busi", "stable", three)); err != nil {
		t.Error(err)
	}
	expect(t, e, "busi", "", two)
	expect(t, e, "busi", "stable", three)
	if err := r.SetAlias("busi", "v2", three); !errors.As(err, new(*InputError)) {
		t.Errorf("the alias of a file was given away: %v", err)
	}
	if s, err := r.Describe("busi", ""); err != nil || s.Digest != two || !s.Current || !slices.Equal(s.Aliases, []string{"v2"}) || s.State != Ready {
		t.Errorf("%+v, %v", s, err)
	}
	os.Remove(filepath.Join(dir, "busi@v2"+extension))
	scan(t, e)
	refuse[*UnknownError](t, e, "busi", "", "an operator made current")
	expect(t, e, "busi", "stable", three)
	if err := r.SetAlias("busi", "current", ""); err != nil {
		t.Error(err)
	}
	expect(t, e, "busi", "", three)

	// Only versions: with one, the name is clear; with more, it is not.
	publish(t, dir, "nih@a", someAdapter(4))
	five := publish(t, dir, "nih@b", someAdapter(5))
	scan(t, e)
	refuse[*UnknownError](t, e, "nih", "", "several versions")
	os.Remove(filepath.Join(dir, "nih@a"+extension))
	scan(t, e)
	expect(t, e, "nih", "", five)
	os.Remove(filepath.Join(dir, "nih@b"+extension))
	scan(t, e)
	refuse[*UnknownError](t, e, "nih", "", "unknown")
	if names := r.Names(); !slices.Equal(names, []string{"busi"}) {
		t.Errorf("names %q", names)
	}
}

// TestDecisionsOutliveTheProcess: what operators decided is still so in another engine.
func TestDecisionsOutliveTheProcess(t *testing.T) {
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "state.json")
	publish(t, dir, "a", someAdapter(1))
	two := publish(t, dir, "a@v2", someAdapter(2))
	publish(t, dir, "b", someAdapter(3))
	c := Config{Adapters: dir, State: state}
	first := newEngine(t, 1, c)
	r := first.Registry()
	if err := errors.Join(r.SetAlias("a", "blue", two), r.SetCanary("a", "v2", 1), r.Pin(t.Context(), "a", true), r.Unload("b")); err != nil {
		t.Fatal(err)
	}
	first.Close()
	e := newEngine(t, 1, c)
	expect(t, e, "a", "blue", two)
	expect(t, e, "a", "", two) // a canary that gets everything
	refuse[*UnknownError](t, e, "b", "", "unloaded")
	s, err := e.Registry().Describe("a", "v2")
	if err != nil || s.Canary != 1 || !s.Pinned || s.Current {
		t.Errorf("%+v, %v", s, err)
	}
	if err := e.Registry().Load(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	if _, err := ask(t, e, "b", ""); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(state, []byte(`{"format":"melo-serve-state","version":1,"adapters":{},"more":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newRegistry(registryConfig{state: state, readers: 1}); err == nil || !strings.Contains(err.Error(), "more") {
		t.Errorf("an unknown key: %v", err)
	}
}

// TestAmbiguousVersion: digits with which several versions begin name none of them.
func TestAmbiguousVersion(t *testing.T) {
	a, b := digestPrefix+strings.Repeat("ab", 32), digestPrefix+strings.Repeat("ab", 31)+"cd"
	e := &entry{name: "x", byAlias: map[string]string{}, versions: []*version{{Identity: Identity{Name: "x", Digest: a}}, {Identity: Identity{Name: "x", Digest: b}}}}
	for wanted, want := range map[string]string{a: a, b: b, b[len(digestPrefix):]: b, b[:len(b)-1]: b} {
		if v, err := e.find(wanted); err != nil || v.Digest != want {
			t.Errorf("%s: %+v, %v", wanted, v, err)
		}
	}
	for _, wanted := range []string{short(a), a[:20]} {
		if v, err := e.find(wanted); v != nil || !errors.As(err, new(*UnknownError)) || !strings.Contains(err.Error(), "several versions") {
			t.Errorf("%s: %+v, %v", wanted, v, err)
		}
	}
}

func TestCanaryShare(t *testing.T) {
	dir := t.TempDir()
	one := publish(t, dir, "a", someAdapter(1))
	two := publish(t, dir, "a@new", someAdapter(2))
	e := newEngine(t, 1, Config{Adapters: dir})
	r := e.Registry()
	if err := r.SetCanary("a", two, 0.25); err != nil {
		t.Fatal(err)
	}
	hits := 0
	const draws = 4000
	for range draws {
		if id, err := r.Resolve("a", ""); err != nil {
			t.Fatal(err)
		} else if id.Digest == two {
			hits++
		}
	}
	if s, err := r.Describe("a", ""); err != nil || s.Digest != one || !s.Current || s.Canary != 0 { // what is described is never drawn
		t.Errorf("the current version is described as %+v, %v", s, err)
	}
	if share := float64(hits) / draws; share < 0.2 || share > 0.3 { // 7 standard deviations
		t.Errorf("share %v, expected 0.25", share)
	}
	for _, bad := range []error{r.SetCanary("a", two, 1.5), r.SetCanary("a", "nothing", 0.5), r.SetCanary("b", two, 0.5), r.SetAlias("a", "x@y", two)} {
		if bad == nil {
			t.Error("a wrong canary or alias was accepted")
		}
	}
}

// TestDamagedFile: a file that is damaged is refused by name, stays out of the way of others, and is looked at again
// when it changes. While it is damaged, the version that it held answers from memory.
func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	one := publish(t, dir, "a", someAdapter(1))
	publish(t, dir, "b", someAdapter(2))
	path := filepath.Join(dir, "a"+extension)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, 1, Config{Adapters: dir})
	r := e.Registry()
	half := func() {
		if err := os.WriteFile(path, whole[:len(whole)/2], 0o600); err != nil {
			t.Fatal(err)
		}
		scan(t, e)
	}
	half() // it was never loaded: there is nothing to go on with
	refuse[*BrokenError](t, e, "a", "", path)
	if list := r.Versions("a"); len(list) != 1 || list[0].State != Unavailable || list[0].Reason == "" {
		t.Errorf("%+v", list)
	}
	if _, err := ask(t, e, "b", ""); err != nil {
		t.Errorf("another adapter: %v", err)
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil { // the copy has ended
		t.Fatal(err)
	}
	scan(t, e)
	expect(t, e, "a", "", one)
	half() // it is resident now
	expect(t, e, "a", "", one)
	if s, err := r.Describe("a", ""); err != nil || s.State != Ready || s.Reason == "" {
		t.Errorf("%+v, %v", s, err)
	}
	e.registry.cache.unload(e.registry.table.Load().entries["a"].current.content)
	refuse[*BrokenError](t, e, "a", "", path)
	os.Remove(path)
	scan(t, e)
	refuse[*UnknownError](t, e, "a", "", "unknown")
}

// TestChecksAtLoad: what does not belong to the base, or does not answer as it did, is refused by name.
func TestChecksAtLoad(t *testing.T) {
	dir := t.TempDir()
	withTest := func(shift float32) *adapterfile.File {
		f := someAdapter(2)
		helper := newEngine(t, 1, Config{})
		test := &adapterfile.SelfTest{Seed: 3}
		for i := range 2 {
			x := make([]float32, 3*8*8)
			adapterfile.SelfTestInput(x, 3, i)
			test.Logits = append(test.Logits, alone(helper.Model(), f.Adapter, x))
		}
		test.Logits[1][0] += shift
		f.Meta.SelfTest = test
		return f
	}
	other := someAdapter(1)
	other.Meta.Base.Digest = digestPrefix + strings.Repeat("1", 64)
	nameless := someAdapter(1)
	nameless.Meta.Base.Digest = ""
	headless := someAdapter(1)
	headless.Adapter.Head, headless.Meta.Labels, headless.Meta.Task, headless.Meta.Thresholds, headless.Meta.Temperatures = nil, nil, "", nil, nil
	side := someAdapter(1)
	side.Meta.Recipe = newEngine(t, 1, Config{}).Recipe()
	side.Meta.Recipe.Size = 9
	publish(t, dir, "other base", other)
	publish(t, dir, "nameless", nameless)
	publish(t, dir, "headless", headless)
	publish(t, dir, "side", side)
	publish(t, dir, "unfit", withTest(0.5))
	fit := publish(t, dir, "fit", withTest(0))
	e := newEngine(t, 1, Config{Adapters: dir})
	for name, says := range map[string]string{"other base": "another base", "nameless": "which base", "headless": "no head", "side": "side 9",
		"unfit": "self-test"} {
		refuse[*BrokenError](t, e, name, "", says)
		refuse[*BrokenError](t, e, name, "", says) // from memory
	}
	expect(t, e, "fit", "", fit)
	if s := e.Stats(); s.Batches < 4 {
		t.Errorf("%d batches: the self-tests have two inputs each", s.Batches)
	}
	seen := map[string]error{}
	if err := e.Registry().CheckAll(t.Context(), func(id Identity, err error) { seen[id.Name] = err }); err != nil || len(seen) != 2 ||
		seen["fit"] != nil || !errors.As(seen["unfit"], new(*adapterfile.SelfCheckError)) {
		t.Errorf("%v, %v", seen, err)
	}
	free := newEngine(t, 1, Config{Adapters: dir, AnyBase: true})
	if _, err := ask(t, free, "nameless", ""); err != nil {
		t.Error(err)
	}
}

// TestSelfTestInNarrowPrecision: without a self-test nothing says that a narrow base is good enough.
func TestSelfTestInNarrowPrecision(t *testing.T) {
	if !vit.Supports(vit.BF16) {
		t.Skip("no instructions for bf16")
	}
	dir := t.TempDir()
	publish(t, dir, "a", someAdapter(1))
	e := newEngine(t, 1, Config{Adapters: dir})
	e.Model().Precision = vit.BF16
	refuse[*BrokenError](t, e, "a", "", "no self-test")
}

func TestLoadBytes(t *testing.T) {
	e := newEngine(t, 1, Config{})
	dir := e.config.Adapters
	scratch := t.TempDir()
	digest := publish(t, scratch, "x", someAdapter(1))
	data, err := os.ReadFile(filepath.Join(scratch, "x"+extension))
	if err != nil {
		t.Fatal(err)
	}
	r := e.Registry()
	for _, name := range []string{"a", "a@v2"} {
		if err := r.LoadBytes(t.Context(), name, data, nil); err != nil {
			t.Error(err)
		}
		expect(t, e, name, "", digest)
		if got, err := os.ReadFile(filepath.Join(dir, name+extension)); err != nil || !slices.Equal(got, data) {
			t.Errorf("%s: %v, or not the bytes that were sent", name, err)
		}
	}
	for name, c := range map[string]struct {
		name string
		data []byte
	}{
		"half": {"a", data[:len(data)/2]}, "nothing": {"b", nil}, "outside": {"../a", data}, "hidden": {".a", data}, "no name": {"", data},
		"folder": {"a/b", data}, "no version": {"a@../b", data}, "colon": {"a:b", data},
	} {
		if err := r.LoadBytes(t.Context(), c.name, c.data, nil); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	expect(t, e, "a", "", digest)
	if found, _ := os.ReadDir(dir); len(found) != 2 {
		t.Errorf("files %v, expected two", found)
	}
}

// TestUnloadLetsRequestsFinish: who holds an adapter keeps it.
func TestUnloadLetsRequestsFinish(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, "a", someAdapter(1))
	e := newEngine(t, 1, Config{Adapters: dir})
	r := e.Registry()
	v, err := r.resolve("a", "")
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := r.hold(t.Context(), v.content)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Unload("a"); err != nil {
		t.Error(err)
	}
	refuse[*UnknownError](t, e, "a", "", "unloaded")
	if s := e.Stats(); s.ResidentBytes != v.content.bytes || s.Resident != 0 {
		t.Errorf("%+v: what is held counts", s)
	}
	h.release()
	if s := e.Stats(); s.ResidentBytes != 0 {
		t.Errorf("%d bytes are left", s.ResidentBytes)
	}
	if s, err := r.Describe("a", ""); err != nil || s.State != Unloaded {
		t.Errorf("%+v, %v", s, err)
	}
	if err := r.Unload("nobody"); !errors.Is(err, ErrUnknownAdapter) {
		t.Error(err)
	}
}

// TestWatch: files are noticed without being told, and a folder that cannot be read changes nothing.
func TestWatch(t *testing.T) {
	e := newEngine(t, 1, Config{})
	dir := e.config.Adapters
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go e.Registry().Watch(ctx, time.Millisecond)
	wait := func(what string, f func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s was not noticed", what)
			}
		}
	}
	digest := publish(t, dir, "a", someAdapter(1))
	wait("a new file", func() bool { got, _ := ask(t, e, "a", ""); return got == digest })
	away := dir + " away"
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	wait("the missing folder", func() bool { return e.Registry().Err() != nil })
	expect(t, e, "a", "", digest)
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	wait("the folder", func() bool { return e.Registry().Err() == nil })
	os.Remove(filepath.Join(dir, "a"+extension))
	wait("a removed file", func() bool { _, err := ask(t, e, "a", ""); return errors.Is(err, ErrUnknownAdapter) })
}

// TestQuietFolder: a look at files that have not changed reads none of them and leaves the table as it is.
func TestQuietFolder(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, "a", someAdapter(1))
	path := filepath.Join(dir, "b"+extension)
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	for _, p := range []string{path, filepath.Join(dir, "a"+extension)} {
		if err := os.Chtimes(p, past, past); err != nil {
			t.Fatal(err)
		}
	}
	e := newEngine(t, 1, Config{Adapters: dir})
	before := e.registry.table.Load()
	scan(t, e)
	if e.registry.table.Load() != before {
		t.Error("the table was made anew")
	}
	if err := os.WriteFile(path, []byte("nonsense again"), 0o600); err != nil {
		t.Fatal(err)
	}
	scan(t, e)
	if e.registry.table.Load() == before {
		t.Error("a change was not noticed")
	}
}

// TestSwitchingAllocatesNothing: finding the adapter of a request, holding it and making it the one of a row.
func TestSwitchingAllocatesNothing(t *testing.T) {
	dir := t.TempDir()
	names := []string{"a", "b", "c"}
	for i, name := range names {
		publish(t, dir, name, someAdapter(uint64(i+1)))
	}
	e := newEngine(t, 1, Config{Adapters: dir})
	for _, name := range names {
		if err := e.Registry().Load(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	s := newSwitcher(e.registry)
	i := 0
	if n := testing.AllocsPerRun(1000, func() { i++; s.change(names[i%3]) }); n != 0 {
		t.Errorf("a switch allocates %v times", n)
	}
}

// FuzzState: no document makes reading it panic, and what is read can be written and read again.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"format":"melo-serve-state","version":1,"adapters":{"a":{"pinned":true,"aliases":{"x":"` + baseDigest + `"},"canary":"` + baseDigest + `","weight":0.5}}}`))
	f.Add([]byte(`{"format":"melo-serve-state","version":1,"adapters":{"a":null}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := &state{}
		if parseState(text, s) != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "state")
		if err := s.write(path); err != nil {
			t.Fatal(err)
		}
		again, err := readState(path)
		if err != nil || len(again.Adapters) != len(s.Adapters) {
			t.Fatalf("%v, or %d of %d adapters", err, len(again.Adapters), len(s.Adapters))
		}
	})
}

// FuzzFileName: a name that is taken from a file leads back to it, and to no other folder.
func FuzzFileName(f *testing.F) {
	for _, s := range []string{"busi.safetensors", "busi@v2.safetensors", ".a.safetensors", "a@.safetensors", "a@b@c.safetensors", "ä b.safetensors", "folder", "folder@v2", "fol.der"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, version, ok := fileName(s)
		if !ok {
			return
		}
		back := joinName("dir", full(name, version))
		if isFolder(s) {
			back = strings.TrimSuffix(back, extension)
		}
		if back != filepath.Join("dir", filepath.Base(s)) || filepath.Dir(back) != "dir" {
			t.Errorf("%q is %q version %q, that is %q", s, name, version, back)
		}
	})
}
