package httpapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/servetest"
)

// badLimit is the limit of a body in the test.
const badLimit = 1 << 21

// badInput is one thing that a client may get wrong, and how an operation answers it.
type badInput struct {
	name   string
	header map[string]string
	body   []byte
	query  string
	path   map[string]string // parameters; others are those of an adapter that there is
	method string            // another than the operation's
	status int               // that is expected; an operation may say otherwise in exceptions
}

// operation is an operation of the OpenAPI document.
type operation struct {
	id, method, path string
	media            string   // of the body; empty: it takes none
	optional         bool     // the body may be absent
	in               []string // parameters in the path
	query            []string
	failed           object // schema of errors
	also             bool   // 503 is an answer, not an error
}

// operations reads the document.
func operations(t *testing.T, doc object) (list []operation) {
	t.Helper()
	for path, item := range doc["paths"].(object) {
		for method, x := range item.(object) {
			op := x.(object)
			o := operation{id: op["operationId"].(string), method: strings.ToUpper(method), path: path}
			parameters, _ := op["parameters"].([]any)
			for _, p := range parameters {
				switch p := p.(object); p["in"] {
				case "path":
					o.in = append(o.in, p["name"].(string))
				case "query":
					o.query = append(o.query, p["name"].(string))
				default:
					t.Fatalf("%s has a parameter in %v, which this test does not know", o.id, p["in"])
				}
			}
			if body, ok := op["requestBody"].(object); ok {
				for media := range body["content"].(object) {
					o.media = media
				}
				o.optional = body["required"] != true
			}
			responses := op["responses"].(object)
			o.failed = responses["default"].(object)["content"].(object)["application/json"].(object)["schema"].(object)
			_, o.also = responses["503"]
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return list
}

// address fills in the path.
func (o *operation) address(with map[string]string, query string) string {
	known := map[string]string{"model": "view", "adapter": "view", "version": "1", "alias": "stable", "part": "app.js"}
	path := o.path
	for _, name := range o.in {
		value, ok := with[name]
		if !ok {
			value = url.PathEscape(known[name])
		}
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	if query != "" {
		path += "?" + query
	}
	return path
}

// badNames are parameters of paths as they stand in an address, and what they are answered. Names that cannot be those of a file
// are unknown, whatever they would be in one.
var badNames = map[string]int{
	"nobody":                    404,
	"..%2F..%2Fetc%2Fpasswd":    404,
	"..%5Cview":                 404,
	"%2e%2e":                    404,
	"view%00":                   404,
	"%ff%fe":                    404,
	"vi%E2%80%AEew":             404, // turns the direction of writing
	"VIEW":                      404,
	"view%20":                   404,
	"view.safetensors":          404,
	strings.Repeat("a", 5000):   404,
	"%F0%9F%92%A9":              404,
	"view%40nobody":             404,
	"view%0d%0aSet-Cookie:%20a": 404,
}

// badJSON are bodies that no operation with a JSON body takes.
var badJSON = map[string][]byte{
	"no JSON":           []byte("x"),
	"half":              []byte(`{"a":`),
	"a list":            []byte(`[]`),
	"a number":          []byte(`1`),
	"null":              []byte(`null`),
	"a text":            []byte(`"x"`),
	"two values":        []byte(`{} {}`),
	"rest":              []byte(`{}x`),
	"deep":              []byte(strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 4999)),
	"deep list":         []byte(`{"a":` + strings.Repeat("[", 100_000)),
	"a mark of order":   []byte("\xef\xbb\xbf{}"),
	"control character": []byte("{\"a\":\"\x01\"}"),
	"UTF-16":            []byte("{\x00}\x00"),
	"noise":             {0x80, 0xff, 0, 1, 2, 3},
	"number of numbers": []byte(`{"a":` + strings.Repeat("9", 20000) + `e` + strings.Repeat("9", 2000) + `x}`),
}

// badOf are further inputs of an operation with a body or a query, by its identity. TestBadInputOfEveryOperation fails for an
// operation that has a body or a query and no row here: say what is wrong input for it.
var badOf = map[string][]badInput{
	"Adapters": {
		{name: "limit no number", query: "limit=x", status: 400}, {name: "limit 0", query: "limit=0", status: 400},
		{name: "limit too large", query: "limit=1001", status: 400}, {name: "limit huge", query: "limit=99999999999999999999", status: 400},
		{name: "limit negative", query: "limit=-1", status: 400}, {name: "after noise", query: "after=%ff%00&limit=1", status: 200},
	},
	"RepositoryIndex": {
		{name: "ready no boolean", body: []byte(`{"ready":"yes"}`), status: 400}, {name: "unknown field", body: []byte(`{"other":1}`), status: 200},
	},
	"RepositoryModelLoad": {
		{name: "unknown parameter", body: []byte(`{"parameters":{"x":1}}`), status: 400},
		{name: "file without a version", body: []byte(`{"parameters":{"file:x":"AAAA"}}`), status: 400},
		{name: "file outside", body: []byte(`{"parameters":{"file:1/../x":"AAAA"}}`), status: 400},
		{name: "file of no base64", body: []byte(`{"parameters":{"file:1/x":"?"}}`), status: 400},
		{name: "file no text", body: []byte(`{"parameters":{"file:1/x":1}}`), status: 400},
		{name: "no adapter", body: []byte(`{"parameters":{"file:1/x":"AAAA"}}`), status: 424},
		{name: "empty file", body: []byte(`{"parameters":{"file:1/x":""}}`), status: 424},
		{name: "two files", body: []byte(`{"parameters":{"file:1/x":"AAAA","file:1/y":"AAAA"}}`), status: 400},
		{name: "two versions", body: []byte(`{"parameters":{"file:1/x":"AAAA","file:2/x.sig":"AAAA"}}`), status: 400},
		{name: "signatures alone", body: []byte(`{"parameters":{"file:1/x.sig":"AAAA"}}`), status: 400},
		{name: "parameters a list", body: []byte(`{"parameters":[]}`), status: 400},
		{name: "version outside", body: []byte(`{"parameters":{"file:../x":"AAAA"}}`), status: 400},
	},
	"RepositoryModelUnload": {
		{name: "unknown parameter", body: []byte(`{"parameters":{"x":1}}`), status: 400},
		{name: "parameters no object", body: []byte(`{"parameters":1}`), status: 400},
	},
	"SetAlias": {
		{name: "no version", body: []byte(`{}`), status: 400}, {name: "empty version", body: []byte(`{"version":""}`), status: 400},
		{name: "version no text", body: []byte(`{"version":1}`), status: 400}, {name: "unknown field", body: []byte(`{"version":"1","x":1}`), status: 400},
		{name: "unknown version", body: []byte(`{"version":"nobody"}`), status: 404},
		{name: "alias outside", body: []byte(`{"version":"1"}`), path: map[string]string{"alias": "..%2Fx"}, status: 400},
		{name: "alias with an at", body: []byte(`{"version":"1"}`), path: map[string]string{"alias": "a@b"}, status: 400},
	},
	"SetCanary": {
		{name: "no version", body: []byte(`{"weight":0.5}`), status: 400}, {name: "weight above 1", body: []byte(`{"version":"1","weight":1.5}`), status: 400},
		{name: "weight below 0", body: []byte(`{"version":"1","weight":-0.5}`), status: 400}, {name: "weight no number", body: []byte(`{"version":"1","weight":"x"}`), status: 400},
		{name: "weight huge", body: []byte(`{"version":"1","weight":1e999}`), status: 400}, {name: "unknown version", body: []byte(`{"version":"nobody","weight":0.5}`), status: 404},
	},
	"Explain": {
		{name: "no form", header: map[string]string{"Content-Type": "application/json"}, body: []byte("{}"), status: 400},
		{name: "empty", header: formHeader, status: 400},
		{name: "no image", header: formHeader, body: formOf("adapter", "view"), status: 400},
		{name: "no adapter", header: formHeader, body: formOf("image", "abc"), status: 400},
		{name: "two adapters", header: formHeader, body: formOf("image", "abc", "adapter", "view", "adapter", "lesion"), status: 400},
		{name: "all adapters", header: formHeader, body: formOf("image", "abc", "adapter", "all"), status: 400},
		{name: "two images", header: formHeader, body: formOf("image", "abc", "image", "abc", "adapter", "view"), status: 413},
		{name: "no picture", header: formHeader, body: formOf("image", "abc", "adapter", "view"), status: 400},
		{name: "unknown adapter", header: formHeader, body: formOf("image", picturePNG, "adapter", "nobody"), status: 404},
		{name: "unknown method", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "method", "magic"), status: 400},
		{name: "unknown label", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "label", "nobody"), status: 400},
		{name: "label noise", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "label", "\xff\x00"), status: 400},
		{name: "label too long", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "label", strings.Repeat("a", 1000)), status: 400},
		{name: "against itself", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "label", "front", "against", "front"), status: 400},
		{name: "label twice", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "label", "front", "label", "back"), status: 400},
		{name: "window no number", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "method", "occlusion", "window", "x"), status: 400},
		{name: "window huge", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "method", "occlusion", "window", "99999999999999999999"), status: 400},
		{name: "window too large", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "method", "occlusion", "window", "3"), status: 400},
		{name: "stride negative", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "method", "occlusion", "stride", "-1"), status: 400},
		{name: "window without occlusion", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "window", "1"), status: 400},
		{name: "frame 0", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "frame", "0"), status: 400},
		{name: "frame 2 of 1", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "frame", "2"), status: 400},
		{name: "unknown field", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "other", "x"), status: 400},
	},
	"Preview": {
		{name: "no form", header: map[string]string{"Content-Type": "application/json"}, body: []byte("{}"), status: 400},
		{name: "empty", header: formHeader, status: 400},
		{name: "no image", header: formHeader, body: formOf("frame", "1"), status: 400},
		{name: "two images", header: formHeader, body: formOf("image", picturePNG, "image", picturePNG), status: 413},
		{name: "an adapter", header: formHeader, body: formOf("image", picturePNG, "adapter", "view"), status: 400},
		{name: "a coverage", header: formHeader, body: formOf("image", picturePNG, "coverage", "0.9"), status: 400},
		{name: "no picture", header: formHeader, body: formOf("image", "abc"), status: 400},
		{name: "half a picture", header: formHeader, body: formOf("image", picturePNG[:50]), status: 400},
		{name: "frame 2 of 1", header: formHeader, body: formOf("image", picturePNG, "frame", "2"), status: 400},
		{name: "unknown field", header: formHeader, body: formOf("image", picturePNG, "window", "x"), status: 400},
	},
	"ModelInfer":        badInfer,
	"ModelInferVersion": badInfer,
	"Predict": {
		{name: "no form", header: map[string]string{"Content-Type": "application/json"}, body: []byte("{}"), status: 400},
		{name: "no boundary", header: map[string]string{"Content-Type": "multipart/form-data"}, body: []byte("--x"), status: 400},
		{name: "empty", header: formHeader, status: 400},
		{name: "cut", header: formHeader, body: []byte("--x\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nabc"), status: 400},
		{name: "no image", header: formHeader, body: formOf("adapter", "view"), status: 400},
		{name: "no adapter", header: formHeader, body: formOf("image", "abc"), status: 400},
		{name: "unknown field", header: formHeader, body: formOf("other", "abc"), status: 400},
		{name: "no picture", header: formHeader, body: formOf("image", "abc", "adapter", "view"), status: 400},
		{name: "empty picture", header: formHeader, body: formOf("image", "", "adapter", "view"), status: 400},
		{name: "unknown adapter", header: formHeader, body: formOf("image", string(pngHeader), "adapter", "nobody"), status: 400},
		{name: "adapter too long", header: formHeader, body: formOf("image", "abc", "adapter", strings.Repeat("a", 1000)), status: 400},
		{name: "adapter noise", header: formHeader, body: formOf("image", "abc", "adapter", "\xff\x00"), status: 400},
		{name: "coverage no number", header: formHeader, body: formOf("image", "abc", "adapter", "view", "coverage", "much"), status: 400},
		{name: "coverage empty", header: formHeader, body: formOf("image", "abc", "adapter", "view", "coverage", ""), status: 400},
		{name: "coverage NaN", header: formHeader, body: formOf("image", "abc", "adapter", "view", "coverage", "NaN"), status: 400},
		{name: "coverage 1", header: formHeader, body: formOf("image", "abc", "adapter", "view", "coverage", "1"), status: 400},
		{name: "coverage in hexadecimal", header: formHeader, body: formOf("image", "abc", "adapter", "view", "coverage", "0x1p-1"), status: 400},
		{name: "coverage with a million digits", header: formHeader, body: formOf("image", "abc", "adapter", "view", "coverage", "0."+strings.Repeat("9", 1<<20)), status: 400},
		{name: "coverage twice", header: formHeader, body: formOf("image", "abc", "adapter", "view", "coverage", "0.9", "coverage", "0.9"), status: 400},
		{name: "too many images", header: formHeader, body: formOf(slices.Repeat([]string{"image", "abc"}, 100)...), status: 413},
		{name: "too many adapters", header: formHeader, body: formOf(append([]string{"image", "abc"}, slices.Repeat([]string{"adapter", "x"}, 5000)...)...), status: 413},
		{name: "frame 0", header: formHeader, body: formOf("image", "abc", "adapter", "view", "frame", "0"), status: 400},
		{name: "frame no number", header: formHeader, body: formOf("image", "abc", "adapter", "view", "frame", "x"), status: 400},
		{name: "frame beyond", header: formHeader, body: formOf("image", picturePNG, "adapter", "view", "frame", "7"), status: 400},
		{name: "thousands of parts", header: formHeader, body: formOf(slices.Repeat([]string{"x", ""}, 5000)...), status: 400},
		{name: "header of a part too long", header: formHeader, body: []byte("--x\r\nContent-Disposition: form-data; name=\"" + strings.Repeat("a", 1<<20) + "\"\r\n\r\nabc\r\n--x--\r\n"), status: 400},
	},
}

var (
	formHeader = map[string]string{"Content-Type": "multipart/form-data; boundary=x"}
	pngHeader  = []byte("\x89PNG\r\n\x1a\n")
	// picturePNG is a picture of one pixel.
	picturePNG = string(pngHeader) + "\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU" +
		"\x00\x00\x00\nIDATx\x9cch\x00\x00\x00\x82\x00\x81w\xcdr\xb6\x00\x00\x00\x00IEND\xaeB`\x82"
)

// formOf is a form of fields and values.
func formOf(fields ...string) []byte {
	var b bytes.Buffer
	for i := 0; i < len(fields); i += 2 {
		fmt.Fprintf(&b, "--x\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", fields[i], fields[i+1])
	}
	b.WriteString("--x--\r\n")
	return b.Bytes()
}

// badInfer are bodies of an inference request; TestRefusals has more.
var badInfer = []badInput{
	{name: "no inputs", body: []byte(`{}`), status: 400},
	{name: "inputs no list", body: []byte(`{"inputs":{}}`), status: 400},
	{name: "unknown input", body: []byte(`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}`), status: 400},
	{name: "unknown type", body: []byte(`{"inputs":[{"name":"image","datatype":"X","shape":[1],"data":[1]}]}`), status: 400},
	{name: "shape overflows", body: []byte(`{"inputs":[{"name":"pixel_values","datatype":"FP32","shape":[9223372036854775807,2],"data":[1]}]}`), status: 413},
	{name: "shape no integer", body: []byte(`{"inputs":[{"name":"pixel_values","datatype":"FP32","shape":[1.5],"data":[1]}]}`), status: 400},
	{name: "no image", body: []byte(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["YWJj"]}]}`), status: 400},
	{name: "shared memory", body: []byte(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"shared_memory_region":"x"}}]}`), status: 501},
	{name: "length of the header", header: map[string]string{lengthHeader: "x"}, body: []byte(`{}`), status: 400},
	{name: "length beyond the body", header: map[string]string{lengthHeader: "99"}, body: []byte(`{}`), status: 400},
	{name: "coverage no number", body: []byte(`{"parameters":{"coverage":"0.9"},"inputs":[]}`), status: 400},
	{name: "coverage true", body: []byte(`{"parameters":{"coverage":true},"inputs":[]}`), status: 400},
	{name: "coverage a list", body: []byte(`{"parameters":{"coverage":[0.9]},"inputs":[]}`), status: 400},
	{name: "coverage 0", body: []byte(`{"parameters":{"coverage":0},"inputs":[]}`), status: 400},
	{name: "coverage 1", body: []byte(`{"parameters":{"coverage":1},"inputs":[]}`), status: 400},
	{name: "coverage below 0", body: []byte(`{"parameters":{"coverage":-0.5},"inputs":[]}`), status: 400},
	{name: "coverage huge", body: []byte(`{"parameters":{"coverage":1e999},"inputs":[]}`), status: 400},
	{name: "method no text", body: []byte(`{"parameters":{"explain_method":1},"inputs":[]}`), status: 400},
	{name: "window no number", body: []byte(`{"parameters":{"explain_window":"x"},"inputs":[]}`), status: 400},
	{name: "method without a map", body: []byte(`{"parameters":{"explain_method":"gradcam"},"inputs":[]}`), status: 400},
	{name: "timeout no number", body: []byte(`{"parameters":{"timeout":"x"},"inputs":[]}`), status: 400},
}

// exceptions are operations that answer an input of all operations in their own way.
var exceptions = map[string]int{
	"ModelReady name": 503, "ModelReadyVersion name": 503, // a probe says no
	"Pin name": 404, "Unpin name": 404,
}

// badOfAll are the inputs that every operation gets, by what it has.
func badOfAll(t *testing.T, o *operation) (list []badInput) {
	t.Helper()
	list = append(list, badInput{name: "method", method: "TRACE", status: 405}, badInput{name: "method of its own", method: "NONSENSE", status: 405})
	for _, name := range o.in {
		if name == "alias" {
			continue // any text may be one; see SetAlias
		}
		for bad, status := range badNames {
			if name == "version" && bad == "view%00" {
				bad = "1%00"
			}
			in := badInput{name: name + " " + bad[:min(len(bad), 40)], path: map[string]string{name: bad}, status: status}
			if expected, ok := exceptions[o.id+" name"]; ok {
				in.status = expected
			}
			switch {
			case o.id == "SetAlias":
				in.body = []byte(`{"version":"1"}`)
			case o.id == "SetCanary":
				in.body = []byte(`{"version":"1","weight":0.5}`)
			case strings.HasPrefix(o.id, "ModelInfer"):
				in.body = inferBody(t, servetest.Tensor(1), 1)
			case o.id == "RepositoryModelLoad" && bad != "nobody": // a name that cannot be one is wrong, not unknown
				in.status = 0
			}
			list = append(list, in)
		}
	}
	if o.media == "" {
		return list
	}
	large := gzipped("{" + strings.Repeat(" ", badLimit) + "}")
	if o.media != "application/json" {
		large = gzipped(string(formOf("adapter", "view", "image", strings.Repeat(" ", badLimit))))
	}
	list = append(list,
		badInput{name: "no gzip", header: map[string]string{"Content-Encoding": "gzip"}, body: []byte("abc"), status: 400},
		badInput{name: "half a gzip", header: map[string]string{"Content-Encoding": "gzip"}, body: gzipped("{}")[:12], status: 400},
		badInput{name: "unknown compression", header: map[string]string{"Content-Encoding": "br"}, body: []byte("{}"), status: 501},
		badInput{name: "compressed twice", header: map[string]string{"Content-Encoding": "gzip, gzip"}, body: []byte("{}"), status: 501},
		badInput{name: "too large", body: make([]byte, badLimit+1), status: 413},
		badInput{name: "too large after gzip", header: map[string]string{"Content-Encoding": "gzip"}, body: large, status: 413})
	if o.media != "application/json" {
		for i := range list {
			if list[i].header["Content-Encoding"] != "" || list[i].name == "too large" {
				header := map[string]string{"Content-Type": formHeader["Content-Type"]}
				for k, v := range list[i].header {
					header[k] = v
				}
				list[i].header = header
			}
		}
		return list
	}
	for name, body := range badJSON {
		list = append(list, badInput{name: name, body: body, status: 400})
	}
	if !o.optional {
		list = append(list, badInput{name: "no body", status: 400})
	}
	return list
}

func gzipped(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.Bytes()
}

// TestBadInputOfEveryOperation sends every operation of /openapi.json what a client may get wrong. Each answer is an error of the
// expected status, in the shape that the document gives, of one line; the server goes on. An operation that takes a body or a
// query needs rows of its own in badOf.
func TestBadInputOfEveryOperation(t *testing.T) {
	d := newDoor(t, oip.Limits{Body: badLimit, Rows: 8})
	var doc object
	d.json(get, "/openapi.json", nil, 200, &doc)
	list := operations(t, doc)
	if len(list) != len(Routes()) {
		t.Errorf("the document has %d operations, there are %d routes", len(list), len(Routes()))
	}
	rows, known := 0, map[string]bool{}
	for i := range list {
		o := &list[i]
		known[o.id] = true
		if (o.media != "" || len(o.query) > 0) && len(badOf[o.id]) == 0 {
			t.Errorf("%s (%s %s) takes a body or a query, and this test has no wrong input for it", o.id, o.method, o.path)
		}
		for _, in := range append(badOfAll(t, o), badOf[o.id]...) {
			rows++
			d.wrong(doc, o, in)
		}
	}
	for id := range badOf {
		if !known[id] {
			t.Errorf("rows for %s, which there is not", id)
		}
	}
	t.Logf("%d operations, %d wrong inputs", len(list), rows)
	if r, _ := d.do(post, "/v2/models/view/infer", nil, inferBody(t, servetest.Tensor(1), 1)); r.StatusCode != http.StatusOK {
		t.Errorf("afterwards an ordinary question has the status %d", r.StatusCode)
	}
}

// wrong sends one input and checks the answer.
func (d *door) wrong(doc object, o *operation, in badInput) {
	d.t.Helper()
	method := o.method
	if in.method != "" {
		method = in.method
	}
	r, body := d.do(method, o.address(in.path, in.query), in.header, in.body)
	report := func(format string, args ...any) {
		d.t.Helper()
		d.t.Errorf("%s, %s: %s; the answer is %d %.300s", o.id, in.name, fmt.Sprintf(format, args...), r.StatusCode, body)
	}
	if r.Request.URL.Path != "" && r.StatusCode/100 == 3 {
		report("a redirection")
	}
	if in.status != 0 && r.StatusCode != in.status {
		report("expected %d", in.status)
	}
	if r.StatusCode < 400 || r.StatusCode == http.StatusServiceUnavailable && o.also {
		if in.status == 0 {
			report("expected an error")
		}
		return
	}
	if r.StatusCode >= 500 && r.StatusCode != http.StatusNotImplemented {
		report("an error of the server")
	}
	var v any
	if media := r.Header.Get("Content-Type"); media != "application/json" || json.Unmarshal(body, &v) != nil {
		report("no JSON, but %s", media)
		return
	}
	if err := conforms(doc, o.failed, v, "error"); err != nil {
		report("%v", err)
		return
	}
	text, _ := v.(object)["error"].(string)
	if text == "" || len(text) > 520 || strings.ContainsAny(text, "\r\n\x00") || !utf8.ValidString(text) || strings.Contains(text, d.dir) {
		report("the message is no clean line")
	}
	if method := r.StatusCode == http.StatusMethodNotAllowed; method != (r.Header.Get("Allow") != "") {
		report("Allow is %q", r.Header.Get("Allow"))
	}
}
