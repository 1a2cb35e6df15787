package oip

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"melo.example/melo/imaging"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
	"melo.example/melo/serve/servetest"
)

func TestFaultOf(t *testing.T) {
	broken := &serve.BrokenError{Name: "x", Path: "/secret/x.safetensors", Err: errors.New("adapterfile: /secret/x.safetensors: bad\nline")}
	for _, c := range []struct {
		err  error
		kind Kind
		says string
	}{
		{&serve.UnknownError{Name: "x"}, NotFound, "unknown adapter"},
		{broken, Refused, "adapterfile: x.safetensors: bad line"},
		{&serve.OverloadError{RetryAfter: time.Second}, Overloaded, "overloaded"},
		{serve.ErrDraining, Unavailable, "shutting down"},
		{&serve.InputError{Err: errors.New("too long")}, Invalid, "too long"},
		{fmt.Errorf("x: %w", context.Canceled), Canceled, "cancelled"},
		{context.DeadlineExceeded, DeadlineError, "time"},
		{fmt.Errorf("x: %w", imaging.ErrTooLarge), TooLarge, "too large"},
		{errors.New("open /secret/file: permission denied"), Internal, "see the server's log"},
		{fmt.Errorf("y: %w", NewFault(Forbidden, "no")), Forbidden, "no"},
	} {
		f := FaultOf(c.err)
		if f.Kind != c.kind || !strings.Contains(f.Message, c.says) || strings.Contains(f.Message, "secret") || strings.Contains(f.Message, "\n") {
			t.Errorf("%v: %v %q, want %v with %q", c.err, f.Kind, f.Message, c.kind, c.says)
		}
	}
	if f := FaultOf(&serve.OverloadError{RetryAfter: 3 * time.Second}); f.RetryAfter != 3*time.Second {
		t.Errorf("retry after %v", f.RetryAfter)
	}
	if long := FaultOf(&serve.InputError{Err: errors.New(strings.Repeat("ä", 1000))}); len(long.Message) > maxMessage+3 {
		t.Errorf("message of %d bytes", len(long.Message))
	}
}

func TestElements(t *testing.T) {
	for _, c := range []struct {
		shape []int64
		n     int64
		kind  Kind
	}{
		{[]int64{2, 3, 4}, 24, 0},
		{[]int64{100}, 100, 0},
		{[]int64{101}, 0, TooLarge},
		{[]int64{1 << 32, 1 << 32}, 0, TooLarge},
		{[]int64{1 << 62, 1 << 62, 0}, 0, Invalid},
		{[]int64{0}, 0, Invalid},
		{[]int64{-1, -1}, 0, Invalid},
		{nil, 0, Invalid},
		{make([]int64, 9), 0, Invalid},
	} {
		n, err := elements("x", c.shape, 100)
		if err == nil && n != c.n || err != nil && FaultOf(err).Kind != c.kind {
			t.Errorf("%v: %d, %v", c.shape, n, err)
		}
	}
}

// Images of one request are decoded in parts that its share of the memory has room for.
func TestDecoderWorksInParts(t *testing.T) {
	picture := Encoded{Name: "picture", Data: servetest.PNG(t, 1, 10, 10)}
	info, err := imaging.Inspect(picture.Data, picture.Name, imaging.Options{})
	if err != nil {
		t.Fatal(err)
	}
	memory := NewMemory(5 * info.Bytes) // a request has half of that
	d := NewDecoder(Limits{Pixels: 100}, memory)
	var parts []int
	images := []Encoded{picture, {Name: "other", Data: []byte("x")}, picture, picture, {Name: "large", Data: servetest.PNG(t, 1, 11, 10)}}
	kinds := map[int]Kind{}
	err = d.Decode(t.Context(), images, func(first int, list []Decoded) error {
		parts = append(parts, len(list))
		for i, x := range list {
			if x.Err != nil {
				kinds[first+i] = FaultOf(x.Err).Kind
			} else if x.Image.W != 10 {
				t.Errorf("image %d: %+v", first+i, x.Image)
			}
		}
		if used, _ := memory.Used(); used > 5*info.Bytes/2 || used == 0 {
			t.Errorf("%d bytes are taken", used)
		}
		return nil
	})
	if err != nil || !slices.Equal(parts, []int{3, 2}) || len(kinds) != 2 || kinds[1] != Invalid || kinds[4] != TooLarge {
		t.Errorf("%v, parts %v, errors %v", err, parts, kinds)
	}
	if used, peak := memory.Used(); used != 0 || peak != 2*info.Bytes {
		t.Errorf("%d bytes are taken, %d were", used, peak)
	}
	// What could never be decoded is refused by its cost, not by its pixels alone.
	err = NewDecoder(Limits{}, NewMemory(info.Bytes)).Decode(t.Context(), images[:1], func(_ int, list []Decoded) error { return firstError(list) })
	if FaultOf(err).Kind != TooLarge {
		t.Errorf("more than there is: %v", err)
	}
}

// One client has half of the memory; others are not kept waiting by what it waits for, and wait for room in turn.
func TestMemoryIsShared(t *testing.T) {
	m := NewMemory(80)
	take := func(client string, n int64) (func(), error) {
		ctx, cancel := context.WithTimeout(WithClient(t.Context(), client), 20*time.Millisecond)
		defer cancel()
		return m.Take(ctx, n)
	}
	first, err := take("a", 40)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := take("a", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("above its share: %v", err)
	}
	waiting := make(chan error, 1)
	go func() {
		release, err := m.Take(WithClient(t.Context(), "a"), 5)
		if err == nil {
			release()
		}
		waiting <- err
	}()
	for m.Waited() == 0 {
		time.Sleep(time.Millisecond)
	}
	second, err := take("b", 30)
	if err != nil {
		t.Fatalf("behind another client's: %v", err)
	}
	if err := m.body(11); FaultOf(err).Kind != Overloaded {
		t.Errorf("a body where there is no room: %v", err)
	}
	if _, err := take("c", 41); FaultOf(err).Kind != TooLarge {
		t.Errorf("more than one can have: %v", err)
	}
	first()
	first() // counts once
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	second()
	if err := m.body(31); FaultOf(err).Kind != Overloaded {
		t.Errorf("bodies get more than three eighths: %v", err)
	}
	if used, peak := m.Used(); used != 0 || peak != 70 {
		t.Errorf("%d bytes are taken, %d were", used, peak)
	}
}

func TestBodyCounts(t *testing.T) {
	s := NewService(servetest.Engine(t, serve.Config{}), Options{Limits: Limits{Body: 10, Memory: 120}})
	receive := func(r io.Reader, a Arrival) (*Body, error) {
		b, err := s.Receive(r, a)
		if err != nil {
			return nil, err
		}
		_, err = b.ReadAll(-1)
		return b, err
	}
	used := func() int64 { n, _ := s.memory.Used(); return n }
	a, err := receive(strings.NewReader("0123456789"), Arrival{})
	if err != nil || used() != 30 {
		t.Fatalf("%v, %d bytes", err, used())
	}
	b, err := receive(strings.NewReader("0123456789"), Arrival{})
	if FaultOf(err).Kind != Overloaded {
		t.Errorf("beside another: %v", err)
	}
	b.Release()
	a.Keep(12)
	if a.Keep(20); used() != 12 {
		t.Errorf("%d bytes are counted, 12 are kept", used())
	}
	b, err = receive(strings.NewReader("0123456789"), Arrival{})
	if err != nil {
		t.Error(err)
	}
	b.Release()
	a.Release()
	for name, c := range map[string]struct {
		body string
		a    Arrival
		kind Kind
	}{
		"a long one":                   {strings.Repeat("x", 11), Arrival{}, TooLarge},
		"longer than its client's own": {"012345", Arrival{Limit: 5}, TooLarge},
		"a bomb":                       {string(zipped(make([]byte, 1<<20))), Arrival{Encoding: "gzip"}, TooLarge},
		"no gzip":                      {"012345", Arrival{Encoding: "gzip"}, Invalid},
		"half a gzip":                  {string(zipped([]byte("0123"))[:20]), Arrival{Encoding: "gzip"}, Invalid},
		"another encoding":             {"012345", Arrival{Encoding: "br"}, Unsupported},
	} {
		x, err := receive(strings.NewReader(c.body), c.a)
		if FaultOf(err).Kind != c.kind {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
		if x != nil {
			x.Release()
		}
	}
	x, err := receive(bytes.NewReader(zipped([]byte("0123"))), Arrival{Encoding: "gzip"})
	if err != nil || used() != 12 {
		t.Errorf("compressed: %v, %d bytes", err, used())
	}
	x.Release()
	if used() != 0 {
		t.Errorf("%d bytes are still counted", used())
	}
}

func zipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// The largest values come first, and of equal ones the first.
func TestClasses(t *testing.T) {
	got := classes([]float32{1.5, 3, -0.25, 3}, []string{"a", "b", "c", "d"}, 3)
	want := [][]byte{[]byte("3.000000:1:b"), []byte("3.000000:3:d"), []byte("1.500000:0:a")}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%s, want %s", got, want)
	}
}

// An adapter that is replaced between two rows' look-ups must not split a request: rows are of one version, also while
// versions change all the time.
func TestRowsAreOfOneVersion(t *testing.T) {
	dir := servetest.Folder(t)
	e := servetest.Engine(t, serve.Config{Adapters: dir})
	s := NewService(e, Options{})
	files := [][]byte{
		servetest.Bytes(t, servetest.Adapter(t, 21, adapterfile.Multiclass, "a", "b")),
		servetest.Bytes(t, servetest.Adapter(t, 22, adapterfile.Multiclass, "a", "b")),
	}
	stop := make(chan struct{})
	changed := make(chan error, 1)
	go func() {
		defer close(changed)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := e.Registry().LoadBytes(t.Context(), "view", files[i%2], nil); err != nil {
				changed <- err
				return
			}
		}
	}()
	x := slices.Concat(servetest.Tensor(1), servetest.Tensor(2), servetest.Tensor(3))
	answered := 0
	for range 50 {
		r, err := s.Infer(t.Context(), &InferRequest{Model: "view", Inputs: []Tensor{{Name: InputPixels, Datatype: FP32, Shape: []int64{3, 3, 8, 8}, Floats: x}}})
		if errors.Is(err, serve.ErrUnknownAdapter) {
			continue // replaced three times in a row
		}
		if err != nil {
			t.Fatal(err)
		}
		answered++
		for _, row := range r.Rows {
			if row.Digest != r.Digest {
				t.Fatalf("rows of %s and %s", row.Digest, r.Digest)
			}
		}
	}
	if answered == 0 {
		t.Error("nothing was answered")
	}
	close(stop)
	if err := <-changed; err != nil {
		t.Error(err)
	}
}

// What there is too much of is not read: a document of many small values takes no memory.
func TestJSONOfManyValues(t *testing.T) {
	c := NewCodec(Limits{}, 8)
	for name, body := range map[string]string{
		"inputs":     `{"inputs":[` + strings.Repeat("{},", 1<<20) + `{}]}`,
		"outputs":    `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["YQ=="]}],"outputs":[` + strings.Repeat("{},", 1<<20) + `{}]}`,
		"parameters": `{"parameters":{` + strings.Repeat(`"":1,`, 1<<18) + manyNames() + `"":1}}`,
		"shape":      `{"inputs":[{"name":"image","datatype":"BYTES","shape":[` + strings.Repeat("1,", 1<<20) + `1]}]}`,
		"data":       `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":[` + strings.Repeat(`"",`, 1<<20) + `""]}]}`,
		"a number":   `{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[` + strings.Repeat(`1`, 1<<20) + `]}]}`,
		"more":       `{"inputs":[]}` + strings.Repeat(`{},`, 1<<20),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := c.ParseJSON([]byte(body), -1)
		runtime.ReadMemStats(&after)
		if FaultOf(err).Kind != Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc - uint64(len(body)); took > uint64(4*len(body)+1<<20) { // decoding it all takes a hundred times its length
			t.Errorf("%s: %d bytes for %d of text", name, took, len(body))
		}
	}
}

func manyNames() string {
	var b strings.Builder
	for i := range 1 << 16 {
		fmt.Fprintf(&b, `"%d":1,`, i)
	}
	return b.String()
}

// Strings are base64 or, as other servers take them, text; numbers may be of 16 bits.
func TestJSONData(t *testing.T) {
	c := NewCodec(Limits{}, 8)
	parse := func(input string) Tensor {
		t.Helper()
		r, err := c.ParseJSON([]byte(`{"inputs":[`+input+`]}`), -1)
		if err != nil {
			t.Fatal(err)
		}
		return r.Inputs[0]
	}
	for input, want := range map[string]string{`"YQ=="`: "a", `"caf\u00e9 ☕"`: "café ☕", `"P2\n1 1"`: "P2\n1 1"} {
		got := parse(`{"name":"image","datatype":"BYTES","shape":[1],"data":[` + input + `]}`)
		if string(got.Bytes[0]) != want {
			t.Errorf("%s is %q", input, got.Bytes[0])
		}
	}
	if got := parse(`{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"content_type":"str"},"data":["YQ=="]}`); string(got.Bytes[0]) != "YQ==" {
		t.Errorf("%q", got.Bytes[0])
	}
	if got := parse(`{"name":"x","datatype":"FP16","shape":[2],"data":[0.1,-2]}`); !slices.Equal(got.Floats, []float32{0.0999755859375, -2}) {
		t.Errorf("%v", got.Floats)
	}
	half := Tensor{Datatype: BF16, Shape: []int64{2}}
	if err := c.SetRaw(&half, []byte{0x80, 0x3f, 0x00, 0xc0}); err != nil || !slices.Equal(half.Floats, []float32{1, -2}) {
		t.Errorf("%v, %v", half.Floats, err)
	}
	if _, err := c.ParseJSON([]byte(`{"inputs":[{"name":"x","datatype":"FP16","shape":[1],"data":[70000]}]}`), -1); FaultOf(err).Kind != Invalid {
		t.Error(err)
	}
}

// TestSentFiles tells the files of a load request apart, in whatever order they come.
func TestSentFiles(t *testing.T) {
	a, s := []byte("adapter"), []byte("signatures")
	for name, c := range map[string]struct {
		files   map[string][]byte
		version string
		ok      bool
	}{
		"nothing":           {nil, "", true},
		"an adapter":        {map[string][]byte{"file:1/x.safetensors": a}, "", true},
		"with signatures":   {map[string][]byte{"file:1/x.safetensors": a, "file:1/x.safetensors.sig": s}, "", true},
		"of a version":      {map[string][]byte{"file:v2/x.safetensors": a, "file:v2/x.safetensors.sig": s}, "v2", true},
		"empty":             {map[string][]byte{"file:1/x": nil}, "", true},
		"two versions":      {map[string][]byte{"file:1/x": a, "file:2/x.sig": s}, "", false},
		"signatures alone":  {map[string][]byte{"file:1/x.sig": s}, "", false},
		"two adapters":      {map[string][]byte{"file:1/x": a, "file:1/y": a}, "", false},
		"two of signatures": {map[string][]byte{"file:1/x": a, "file:1/x.sig": s, "file:1/y.sig": s}, "", false},
		"no version":        {map[string][]byte{"file:x": a}, "", false},
	} {
		for range 8 { // maps have no order
			f, err := sentFiles(c.files)
			if (err == nil) != c.ok {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil && (f.version != c.version || len(c.files) > 0 && f.adapter == nil || len(c.files) == 2 && string(f.signatures) != string(s)) {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}
