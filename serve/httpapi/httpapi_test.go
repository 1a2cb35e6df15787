package httpapi

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/imaging"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/servetest"
)

// door is a running server and what is behind it.
type door struct {
	*httptest.Server
	t      *testing.T
	engine *serve.Engine
	dir    string
}

func newDoor(t *testing.T, limits oip.Limits, change ...func(*Options)) *door {
	t.Helper()
	return newDoorOf(t, oip.Options{Limits: limits}, change...)
}

// newDoorOf is newDoor with other options of the protocol.
func newDoorOf(t *testing.T, service oip.Options, change ...func(*Options)) *door {
	t.Helper()
	dir := servetest.Folder(t)
	e := servetest.Engine(t, serve.Config{Adapters: dir})
	service.Version, service.Base, service.Digest = "1.2.3", "tiny", servetest.BaseDigest
	o := Options{Service: oip.NewService(e, service)}
	for _, f := range change {
		f(&o)
	}
	server := httptest.NewServer(New(o))
	t.Cleanup(server.Close)
	return &door{server, t, e, dir}
}

// do sends a request and returns the answer with its body.
func (d *door) do(method, path string, header map[string]string, body []byte) (*http.Response, []byte) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.URL+path, bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	response, err := d.Client().Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return response, answer
}

// json sends a request that must answer with status, and decodes the answer.
func (d *door) json(method, path string, body any, status int, into any) {
	d.t.Helper()
	var raw []byte
	if body != nil {
		raw, _ = json.Marshal(body)
	}
	response, answer := d.do(method, path, nil, raw)
	if response.StatusCode != status {
		d.t.Fatalf("%s %s: status %d: %s, want %d", method, path, response.StatusCode, answer, status)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			d.t.Fatalf("%s %s: %v: %s", method, path, err, answer)
		}
	}
}

// want is what the engine answers to the same request.
func (d *door) want(name string, input serve.Input) serve.Answer {
	d.t.Helper()
	answers, errs := d.engine.Predict(d.t.Context(), serve.Request{Name: name, Input: input})
	if errs[0] != nil {
		d.t.Fatal(errs[0])
	}
	return answers[0]
}

func floats(raw []byte) []float32 {
	list := make([]float32, len(raw)/4)
	for i := range list {
		list[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return list
}

func TestHealthAndMetadata(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	for path, want := range map[string]string{"/livez": `{"live":true}`, "/readyz": `{"ready":true}`, "/v2/health/live": `{"live":true}`,
		"/v2/health/ready": `{"ready":true}`, "/v2/models/lesion/ready": `{"name":"lesion","ready":true}`, "/v2/models/lesion/versions/1/ready": `{"name":"lesion","ready":true}`} {
		if r, body := d.do(get, path, nil, nil); r.StatusCode != 200 || string(body) != want {
			t.Errorf("%s: status %d, body %q", path, r.StatusCode, body)
		}
	}
	var server oip.ServerMetadata
	d.json(get, "/v2", nil, 200, &server)
	if server.Name != "melo" || server.Version != "1.2.3" || !slices.Contains(server.Extensions, "binary_tensor_data") {
		t.Errorf("server metadata %+v", server)
	}
	var model oip.ModelMetadata
	d.json(get, "/v2/models/view", nil, 200, &model)
	digest := d.want("view", serve.Input{Tensor: servetest.Tensor(1)}).Digest
	if model.Name != "view" || !slices.Equal(model.Labels, []string{"front", "back", "side"}) || model.Parameters["digest"] != digest ||
		!slices.Equal(model.Inputs[0].Shape, []int64{-1, 3, 8, 8}) || !slices.Equal(model.Outputs[0].Shape, []int64{-1, 3}) {
		t.Errorf("model metadata %+v", model)
	}
	for _, version := range []string{digest, strings.TrimPrefix(digest, "sha256:")[:12], model.Versions[0]} {
		d.json(get, "/v2/models/view/versions/"+version, nil, 200, &model)
	}
	var config oip.ModelConfig
	d.json(get, "/v2/models/view/config", nil, 200, &config)
	if config.MaxBatchSize != 64 || config.Output[0].Dims[0] != 3 {
		t.Errorf("config %+v", config)
	}
	d.json(get, "/v2/models/nobody", nil, 404, nil)
	d.json(get, "/v2/models/view/versions/ffffff", nil, 404, nil)
	d.json(get, "/v2/models/nobody/ready", nil, 503, nil)

	if err := d.engine.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.json(get, "/readyz", nil, 503, nil)
	d.json(get, "/livez", nil, 200, nil)
	r, _ := d.do(post, "/v2/models/view/infer", nil, inferBody(t, servetest.Tensor(1), 1))
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("draining: status %d, Retry-After %q", r.StatusCode, r.Header.Get("Retry-After"))
	}
}

func inferBody(t *testing.T, x []float32, n int) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"id": "7", "inputs": []any{map[string]any{
		"name": "pixel_values", "datatype": "FP32", "shape": []int{n, 3, 8, 8}, "data": x}}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// response is an inference answer with its tensors.
type response struct {
	inferResponse
	raw map[string][]byte
}

func (d *door) infer(path string, header map[string]string, body []byte) response {
	d.t.Helper()
	r, answer := d.do(post, path, header, body)
	if r.StatusCode != 200 {
		d.t.Fatalf("%s: status %d: %s", path, r.StatusCode, answer)
	}
	size := len(answer)
	if v := r.Header.Get(lengthHeader); v != "" {
		fmt.Sscan(v, &size)
	}
	got := response{raw: map[string][]byte{}}
	if err := json.Unmarshal(answer[:size], &got.inferResponse); err != nil {
		d.t.Fatal(err)
	}
	rest := answer[size:]
	for _, o := range got.Outputs {
		if n, ok := o.Parameters["binary_data_size"].(float64); ok {
			got.raw[o.Name], rest = rest[:int(n)], rest[int(n):]
		}
	}
	if len(rest) != 0 {
		d.t.Fatalf("%d bytes left", len(rest))
	}
	return got
}

func TestInferJSON(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	x := slices.Concat(servetest.Tensor(1), servetest.Tensor(2))
	got := d.infer("/v2/models/view/infer", nil, inferBody(t, x, 2))
	if got.ID != "7" || got.Model != "view" || len(got.Outputs) != 3 || !slices.Equal(got.Outputs[0].Shape, []int64{2, 3}) {
		t.Fatalf("answer %+v", got.inferResponse)
	}
	for row := range 2 {
		want := d.want("view", serve.Input{Tensor: servetest.Tensor(uint64(row + 1))})
		if got.Parameters["digest"] != want.Digest || got.Version != want.Version || got.Parameters["adapter"] != "view" {
			t.Errorf("identity %v %q, want %v", got.Parameters, got.Version, want.Identity)
		}
		for i, v := range want.Logits {
			if g := float32(got.Outputs[0].Data.([]any)[row*3+i].(float64)); g != v {
				t.Errorf("row %d: logit %d is %v, want %v", row, i, g, v)
			}
			if g := float32(got.Outputs[1].Data.([]any)[row*3+i].(float64)); g != float32(want.Probabilities[i]) {
				t.Errorf("row %d: probability %d is %v, want %v", row, i, g, want.Probabilities[i])
			}
		}
		if g := got.Outputs[2].Data.([]any)[row]; g != want.Label {
			t.Errorf("row %d: label %v, want %q", row, g, want.Label)
		}
	}
}

func TestInferBinary(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	picture := servetest.PNG(t, 3, 13, 9)
	img, err := imaging.Decode(picture, "picture")
	if err != nil {
		t.Fatal(err)
	}
	want := d.want("lesion", serve.Input{Image: img})

	head := []byte(fmt.Sprintf(`{"parameters":{"binary_data_output":true},"inputs":[{"name":"image","datatype":"BYTES","shape":[1],
		"parameters":{"binary_data_size":%d}}],"outputs":[{"name":"logits"},{"name":"label","parameters":{"binary_data":false}}]}`, len(picture)+4))
	body := append(binary.LittleEndian.AppendUint32(slices.Clone(head), uint32(len(picture))), picture...)
	got := d.infer("/v2/models/lesion/infer", map[string]string{lengthHeader: fmt.Sprint(len(head))}, body)
	if len(got.Outputs) != 2 || !slices.Equal(floats(got.raw["logits"]), want.Logits) || got.Outputs[1].Data.([]any)[0] != want.Label {
		t.Errorf("image, binary: %+v, want logits %v, label %q", got, want.Logits, want.Label)
	}

	// A request that is an image and nothing else.
	got = d.infer("/v2/models/lesion/versions/"+want.Digest+"/infer", map[string]string{lengthHeader: "0"}, picture)
	if !slices.Equal(floats(got.raw["logits"]), want.Logits) || string(got.raw["label"][4:]) != want.Label {
		t.Errorf("raw image: %+v, want %v", got, want)
	}
	if !slices.Equal(floats(got.raw["probabilities"]), []float32{float32(want.Probabilities[0]), float32(want.Probabilities[1])}) {
		t.Errorf("probabilities %v, want %v", floats(got.raw["probabilities"]), want.Probabilities)
	}

	// Base64 in JSON.
	body, _ = json.Marshal(map[string]any{"inputs": []any{map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{1, 1}, "data": [][]byte{picture}}},
		"outputs": []any{map[string]any{"name": "probabilities", "parameters": map[string]any{"classification": 5}}}})
	got = d.infer("/v2/models/lesion/infer", nil, body)
	best, other := 0, 1
	if want.Probabilities[1] > want.Probabilities[0] {
		best, other = 1, 0
	}
	classes := []any{fmt.Sprintf("%f:%d:%s", float32(want.Probabilities[best]), best, want.Labels[best]), fmt.Sprintf("%f:%d:%s", float32(want.Probabilities[other]), other, want.Labels[other])}
	if !slices.Equal(got.Outputs[0].Data.([]any), classes) || !slices.Equal(got.Outputs[0].Shape, []int64{1, 2}) {
		t.Errorf("classification %+v, want %v", got.Outputs, classes)
	}
}

func TestRefusals(t *testing.T) {
	d := newDoor(t, oip.Limits{Body: 1 << 16, Rows: 2, Pixels: 400})
	ok := servetest.Tensor(1)
	one := func(input string) []byte { return []byte(`{"inputs":[` + input + `]}`) }
	big := fmt.Sprintf(`{"name":"image","datatype":"BYTES","shape":[1],"data":[%q]}`, mustJSON(t, servetest.PNG(t, 1, 30, 30)))
	for _, c := range []struct {
		name   string
		body   []byte
		header string
		status int
		says   string
	}{
		{"no JSON", []byte("x"), "", 400, "JSON"},
		{"no inputs", []byte("{}"), "", 400, "0 inputs"},
		{"wrong name", one(`{"name":"x","datatype":"FP32","shape":[1],"data":[1]}`), "", 400, "pixel_values"},
		{"wrong type", one(`{"name":"pixel_values","datatype":"INT8","shape":[1],"data":[1]}`), "", 400, "INT8"},
		{"wrong shape", one(`{"name":"pixel_values","datatype":"FP32","shape":[1,3,4,4],"data":` + fmt.Sprint("[", strings.Repeat("1,", 47), "1]") + `}`), "", 400, "[n,3,8,8]"},
		{"overflow", one(`{"name":"pixel_values","datatype":"FP32","shape":[4294967296,4294967296,3],"data":[1]}`), "", 413, "limit"},
		{"negative", one(`{"name":"pixel_values","datatype":"FP32","shape":[-1,3,8,8],"data":[1]}`), "", 400, "shape"},
		{"too few", one(`{"name":"pixel_values","datatype":"FP32","shape":[1,3,8,8],"data":[1]}`), "", 400, "fewer"},
		{"no number", one(`{"name":"pixel_values","datatype":"FP32","shape":[1],"data":[true]}`), "", 400, "number"},
		{"too many rows", inferBody(t, slices.Concat(ok, ok, ok), 3), "", 413, "limit"},
		{"huge number", bytes.Replace(inferBody(t, ok, 1), []byte(`"data":[`), []byte(`"data":[1e99,`), 1), "", 400, "number"},
		{"two inputs", one(`{"name":"image","datatype":"BYTES","shape":[1],"data":["YQ=="]},{"name":"image","datatype":"BYTES","shape":[1],"data":["YQ=="]}`), "", 400, "2 inputs"},
		{"no image", one(`{"name":"image","datatype":"BYTES","shape":[1],"data":["YWJjZA=="]}`), "", 400, "not an image"},
		{"neither base64 nor an image", one(`{"name":"image","datatype":"BYTES","shape":[1],"data":["?"]}`), "", 400, "not an image"},
		{"too many pixels", one(strings.ReplaceAll(big, `\"`, "")), "", 413, "too large"},
		{"shared memory", one(`{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"shared_memory_region":"x"}}`), "", 501, "shared memory"},
		{"unknown output", bytes.Replace(inferBody(t, ok, 1), []byte(`{`), []byte(`{"outputs":[{"name":"x"}],`), 1), "", 400, "logits"},
		{"header too long", []byte("{}"), "3", 400, "2 bytes"},
		{"header no number", []byte("{}"), "-1", 400, "length"},
		{"bytes left over", []byte("{}  "), "2", 400, "after the last"},
		{"binary size too large", one(`{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":9223372036854775807}}`), "", 400, "binary_data_size"},
		{"body too large", make([]byte, 1<<16+1), "", 413, "65536"},
	} {
		header := map[string]string{}
		if c.header != "" {
			header[lengthHeader] = c.header
		}
		r, body := d.do(post, "/v2/models/view/infer", header, c.body)
		var doc errorDocument
		if err := json.Unmarshal(body, &doc); err != nil || r.StatusCode != c.status || !strings.Contains(doc.Error, c.says) {
			t.Errorf("%s: status %d, body %s, want %d with %q", c.name, r.StatusCode, body, c.status, c.says)
		}
	}
	d.json(get, "/nowhere", nil, 404, nil)
	if r, _ := d.do(get, "/v2/models/view/infer", nil, nil); r.StatusCode != 405 || r.Header.Get("Allow") != "POST" {
		t.Errorf("GET of infer: status %d, Allow %q", r.StatusCode, r.Header.Get("Allow"))
	}
	if r, _ := d.do(post, "/v2/models/view/infer", map[string]string{"Content-Encoding": "gzip"}, []byte("x")); r.StatusCode != 400 {
		t.Errorf("no gzip: status %d", r.StatusCode)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sendForm posts fields of a form; the value of an image is its file.
func (d *door) sendForm(fields ...any) (*http.Response, []byte) {
	d.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		switch v := fields[i+1].(type) {
		case string:
			w.WriteField(fields[i].(string), v)
		case []byte:
			part, _ := w.CreateFormFile(fields[i].(string), fmt.Sprintf("folder/scan %d.png", i))
			part.Write(v)
		}
	}
	w.Close()
	return d.do(post, "/v1/predict", map[string]string{"Content-Type": w.FormDataContentType()}, b.Bytes())
}

func TestPredictForm(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	picture := servetest.PNG(t, 3, 13, 9)
	img, _ := imaging.Decode(picture, "picture")
	r, body := d.sendForm("image", picture, "image", []byte("no image"), "adapter", "all", "adapter", "nobody")
	var doc Prediction
	if err := json.Unmarshal(body, &doc); err != nil || r.StatusCode != 200 {
		t.Fatalf("status %d: %s", r.StatusCode, body)
	}
	if len(doc.Results) != 3 || len(doc.Failed) != 2 || doc.Notice != oip.Notice {
		t.Fatalf("answer %s", body)
	}
	for _, x := range doc.Results {
		want := d.want(x.Adapter.Name, serve.Input{Image: img})
		if x.Adapter != Adapter(want.Identity) || !slices.Equal(x.Probabilities, want.Probabilities) || x.Label != want.Label ||
			!slices.Equal(x.Thresholds, want.Thresholds) || x.File != "scan 0.png" || x.Image != 0 {
			t.Errorf("result %+v, want %+v", x, want)
		}
		var decision []string
		for i, present := range want.Present {
			if present {
				decision = append(decision, want.Labels[i])
			}
		}
		if want.Present == nil {
			decision = []string{want.Label}
		}
		if !slices.Equal(x.Decision, decision) {
			t.Errorf("%s: decision %v, want %v", x.Adapter.Name, x.Decision, decision)
		}
	}
	tasks := map[string]string{"lesion": "binary", "view": "multiclass", "findings": "multilabel"}
	for _, x := range doc.Results {
		if x.Task != tasks[x.Adapter.Name] {
			t.Errorf("%s: task %q", x.Adapter.Name, x.Task)
		}
	}
	if f := doc.Failed[0]; f.Image != 0 || f.Adapter != "nobody" || f.Kind != "not_found" {
		t.Errorf("failed %+v", f)
	}
	if f := doc.Failed[1]; f.Image != 1 || f.Adapter != "" || f.Kind != "invalid" {
		t.Errorf("failed %+v", f)
	}

	for _, c := range []struct {
		fields []any
		status int
	}{
		{[]any{"adapter", "view"}, 400},
		{[]any{"image", picture}, 400},
		{[]any{"image", picture, "adapter", "nobody"}, 404},
		{[]any{"image", picture, "adapter", "view", "other", "x"}, 400},
		{[]any{"image", picture, "adapter", strings.Repeat("x", 600)}, 400},
		{[]any{"image", []byte("x"), "adapter", "view"}, 400},
	} {
		if r, body := d.sendForm(c.fields...); r.StatusCode != c.status {
			t.Errorf("%.60v: status %d: %s, want %d", c.fields, r.StatusCode, body, c.status)
		}
	}
	if r, _ := d.do(post, "/v1/predict", nil, picture); r.StatusCode != 400 {
		t.Errorf("no form: status %d", r.StatusCode)
	}
}

func TestRepositoryAndStatistics(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	var index []oip.Index
	d.json(post, "/v2/repository/index", nil, 200, &index)
	if len(index) != 3 || index[0].Name != "findings" || index[0].State != "READY" {
		t.Errorf("index %+v", index)
	}
	d.infer("/v2/models/view/infer", nil, inferBody(t, servetest.Tensor(1), 1))
	var stats statisticsDocument
	d.json(get, "/v2/models/view/stats", nil, 200, &stats)
	if len(stats.Stats) != 1 || stats.Stats[0].InferenceCount != 1 || stats.Stats[0].InferStats.Success.Ns == 0 || len(stats.Stats[0].MemoryUsage) != 1 {
		t.Errorf("statistics %+v", stats)
	}
	d.json(get, "/v2/models/stats", nil, 200, &stats)
	if len(stats.Stats) != 3 {
		t.Errorf("statistics of %d versions, want 3", len(stats.Stats))
	}
	d.json(get, "/v2/models/nobody/stats", nil, 404, nil)

	d.json(post, "/v2/repository/models/view/unload", map[string]any{"parameters": map[string]any{"unload_dependents": false}}, 200, nil)
	d.json(get, "/v2/models/view/ready", nil, 503, nil)
	d.json(post, "/v2/repository/index", map[string]any{"ready": true}, 200, &index)
	if len(index) != 2 {
		t.Errorf("index of the ready %+v", index)
	}
	if r, _ := d.do(post, "/v2/models/view/infer", nil, inferBody(t, servetest.Tensor(1), 1)); r.StatusCode != 404 {
		t.Errorf("unloaded: status %d", r.StatusCode)
	}
	d.json(post, "/v2/repository/models/view/load", nil, 200, nil)
	d.infer("/v2/models/view/infer", nil, inferBody(t, servetest.Tensor(1), 1))

	// A file that is sent replaces the adapter, or becomes a version; one that is none changes nothing.
	sent := servetest.Adapter(t, 9, adapterfile.Multiclass, "a", "b")
	file := servetest.Bytes(t, sent)
	d.json(post, "/v2/repository/models/view/load", map[string]any{"parameters": map[string]any{"config": "{}", "file:1/model.safetensors": file}}, 200, nil)
	var cards AdapterList
	d.json(get, "/v1/adapters/view", nil, 200, &cards)
	if len(cards.Adapters) != 1 || len(cards.Adapters[0].Labels) != 2 || !cards.Adapters[0].Current || cards.Adapters[0].Metrics[0].Value != 0.75 {
		t.Errorf("after publishing: %+v", cards)
	}
	d.json(post, "/v2/repository/models/view/load", map[string]any{"parameters": map[string]any{"file:next/x": servetest.Bytes(t, servetest.Adapter(t, 10, adapterfile.Multiclass, "c", "d"))}}, 200, nil)
	d.json(get, "/v2/models/view/versions/next", nil, 200, nil)
	d.json(put, "/v1/adapters/view/canary", map[string]any{"version": "next", "weight": 0.5}, 200, nil)
	d.json(put, "/v1/adapters/view/aliases/stable", map[string]any{"version": cards.Adapters[0].Digest}, 200, nil)
	d.json(put, "/v1/adapters/view/pin", nil, 200, nil)
	d.json(get, "/v1/adapters/view", nil, 200, &cards)
	if len(cards.Adapters) != 2 || cards.Adapters[1].Canary != 0.5 || !slices.Contains(cards.Adapters[0].Aliases, "stable") || !cards.Adapters[0].Pinned {
		t.Errorf("after changes: %+v", cards)
	}
	// All rows of a request are of one version, whatever the canary.
	for range 10 {
		d.infer("/v2/models/view/infer", nil, inferBody(t, slices.Concat(servetest.Tensor(1), servetest.Tensor(2), servetest.Tensor(3)), 3))
	}
	d.json(del, "/v1/adapters/view/canary", nil, 200, nil)
	d.json(del, "/v1/adapters/view/aliases/stable", nil, 200, nil)
	d.json(del, "/v1/adapters/view/pin", nil, 200, nil)
	d.json(put, "/v1/adapters/view/canary", map[string]any{"version": "next", "weight": 2}, 400, nil)
	d.json(put, "/v1/adapters/view/canary", map[string]any{"weight": 0.5}, 400, nil)
	d.json(put, "/v1/adapters/view/aliases/x", map[string]any{"version": "next", "other": 1}, 400, nil)

	r, body := d.do(post, "/v2/repository/models/view/load", nil, []byte(`{"parameters":{"file:1/x":"AAAA"}}`))
	if r.StatusCode != 424 || bytes.Contains(body, []byte(filepath.Dir(d.dir))) {
		t.Errorf("broken file: status %d: %s", r.StatusCode, body)
	}
	for _, body := range []string{`{"parameters":{"file:1/x":"?"}}`, `{"parameters":{"file:x":"AAAA"}}`, `{"parameters":{"y":1}}`, `{"parameters":{"file:1/x":"AAAA","file:2/x":"AAAA"}}`, `[`} {
		if r, answer := d.do(post, "/v2/repository/models/view/load", nil, []byte(body)); r.StatusCode != 400 {
			t.Errorf("%s: status %d: %s", body, r.StatusCode, answer)
		}
	}
	d.json(post, "/v2/repository/models/nobody/unload", nil, 404, nil)
	d.json(get, "/v1/adapters/nobody", nil, 404, nil)
}

func TestCardsAreListedInPages(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	var names []string
	for after := ""; ; {
		var list AdapterList
		d.json(get, "/v1/adapters?limit=1&after="+after, nil, 200, &list)
		for _, c := range list.Adapters {
			names = append(names, c.Name)
		}
		if list.Next == "" {
			break
		}
		after = list.Next
	}
	if !slices.Equal(names, []string{"findings", "lesion", "view"}) {
		t.Errorf("names %q", names)
	}
	d.json(get, "/v1/adapters?limit=0", nil, 400, nil)
}

func TestRequestIDs(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	for given, kept := range map[string]bool{"abc-1.2_X": true, "": false, strings.Repeat("x", 65): false, "a b": false, "<x>": false} {
		r, _ := d.do(get, "/livez", map[string]string{"X-Request-Id": given}, nil)
		if got := r.Header.Get("X-Request-Id"); got == "" || (got == given) != kept {
			t.Errorf("X-Request-Id %q became %q", given, got)
		}
	}
}

func TestWrapSeesEveryRoute(t *testing.T) {
	seen := map[string]oip.Role{}
	d := newDoor(t, oip.Limits{}, func(o *Options) {
		o.Wrap = func(r Route, next http.Handler) http.Handler {
			seen[r.Pattern()] = r.Role
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if oip.RequestID(req.Context()) == "" {
					t.Error("no request id")
				}
				if r.Role == oip.Operator {
					WriteError(w, oip.NewFault(oip.Forbidden, "operators only"))
					return
				}
				next.ServeHTTP(w, req)
			})
		}
	})
	if len(seen) != len(Routes()) || seen["POST /v2/repository/models/{model}/load"] != oip.Operator || seen["POST /v1/predict"] != oip.Viewer {
		t.Errorf("routes %v", seen)
	}
	d.json(post, "/v2/repository/models/view/unload", nil, 403, nil)
	d.json(get, "/v2/models/view/ready", nil, 200, nil)
}

func TestBugEndsOnlyItsRequest(t *testing.T) {
	d := newDoor(t, oip.Limits{}, func(o *Options) {
		o.Wrap = func(r Route, next http.Handler) http.Handler {
			if r.Name == "OpenAPI" {
				return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("bug") })
			}
			return next
		}
	})
	d.json(get, "/openapi.json", nil, 500, nil)
	d.json(get, "/livez", nil, 200, nil)
}

func TestPage(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	paths := map[string]string{"/": "text/html"}
	files, err := page.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		paths["/page/"+f.Name()] = map[string]string{".html": "text/html", ".js": "text/javascript", ".css": "text/css"}[path.Ext(f.Name())]
	}
	for path, media := range paths {
		r, body := d.do(get, path, nil, nil)
		if r.StatusCode != 200 || media == "" || !strings.HasPrefix(r.Header.Get("Content-Type"), media) || len(body) == 0 ||
			!strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: status %d, %v", path, r.StatusCode, r.Header)
		}
		for _, bad := range []string{"://", " style=", "onclick", "innerHTML", "insertAdjacentHTML", "document.write", "eval("} {
			if bytes.Contains(body, []byte(bad)) {
				t.Errorf("%s: has %q: an external address, inline code, or markup that is made of text", path, bad)
			}
		}
	}
	for _, path := range []string{"/page/", "/page/nothing.js", "/page/..%2Fpage.go", "/page/.", "/page/index.html%00"} {
		if r, _ := d.do(get, path, nil, nil); r.StatusCode != 404 {
			t.Errorf("%s: status %d", path, r.StatusCode)
		}
	}
}
