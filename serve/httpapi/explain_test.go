package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/explain"
	"melo.example/melo/imaging"
	"melo.example/melo/serve"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/servetest"
)

// wanted is the explanation of the engine.
func (d *door) explained(name string, img *imaging.Image, how serve.Explaining) serve.Explanation {
	d.t.Helper()
	x, err := d.engine.Explain(d.t.Context(), serve.Request{Name: name, Input: serve.Input{Image: img}}, how)
	if err != nil {
		d.t.Fatal(err)
	}
	return x
}

// TestExplain: a form and a request of the protocol have the map of the engine, with where it lies and what it is of.
func TestExplain(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	file := servetest.PNG(t, 5, 30, 20)
	img, err := imaging.Decode(file, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range explain.Methods() {
		want := d.explained("findings", img, serve.Explaining{Method: m, Label: "nodule", Against: "effusion"})
		r, answer := d.do(post, "/v1/explain", formHeader, formOf("image", string(file), "adapter", "findings", "method", string(m), "label", "nodule", "against", "effusion"))
		var doc Explanation
		if err := json.Unmarshal(answer, &doc); err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d: %s", m, r.StatusCode, answer)
		}
		if !slices.Equal(doc.Map, want.Map) || doc.Method != string(m) || doc.Label != "nodule" || doc.Against != "effusion" || doc.Probability != want.Share ||
			doc.Width != 30 || doc.Height != 20 || doc.Region.Width != 30 || doc.Grid != 2 || doc.Result.Adapter.Digest != want.Digest ||
			!slices.Equal(doc.Result.Logits, want.Logits) || doc.Result.Task != "multilabel" || doc.Precision != "f32" || doc.Notice != oip.Notice {
			t.Errorf("%s: %s", m, answer)
		}
	}
	var doc inferResponse
	d.json(post, "/v2/models/view/infer", map[string]any{
		"parameters": map[string]any{"explain_method": "gradcam", "explain_label": "back"},
		"inputs":     []any{map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{2}, "data": []string{base64.StdEncoding.EncodeToString(file), base64.StdEncoding.EncodeToString(servetest.PNG(t, 6, 9, 9))}}},
		"outputs":    []any{map[string]any{"name": "map"}, map[string]any{"name": "region"}, map[string]any{"name": "label"}},
	}, http.StatusOK, &doc)
	want := d.explained("view", img, serve.Explaining{Method: explain.GradCAM, Label: "back"})
	if len(doc.Outputs) != 3 || !slices.Equal(doc.Outputs[0].Shape, []int64{2, 2, 2}) || !slices.Equal(doc.Outputs[1].Shape, []int64{2, 4}) ||
		doc.Parameters["explain_method"] != "gradcam" || !strings.HasPrefix(doc.Parameters["explained"], `[{"label":"back","probability":0.`) {
		t.Fatalf("%+v", doc)
	}
	for i, v := range doc.Outputs[0].Data.([]any)[:4] {
		if float32(v.(float64)) != want.Map[i] {
			t.Errorf("map %v, expected %v", doc.Outputs[0].Data, want.Map)
		}
	}
	for i, v := range doc.Outputs[1].Data.([]any)[:4] {
		if v.(float64) != []float64{0, 0, 30, 20}[i] {
			t.Errorf("region %v", doc.Outputs[1].Data)
		}
	}
	var plain inferResponse
	d.json(post, "/v2/models/view/infer", map[string]any{ // without the map nothing is explained
		"inputs": []any{map[string]any{"name": "pixel_values", "datatype": "FP32", "shape": []int{1, 3, 8, 8}, "data": servetest.Tensor(1)}},
	}, http.StatusOK, &plain)
	if len(plain.Outputs) != 3 || plain.Parameters["explained"] != "" {
		t.Errorf("%+v", plain)
	}
}

// TestExplainBounds: maps are few in a request, and take memory that it must have.
func TestExplainBounds(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	r, answer := d.do(post, "/v2/models/view/infer", nil, []byte(`{"inputs":[{"name":"pixel_values","datatype":"FP32","shape":[17,3,8,8],"data":[0`+
		strings.Repeat(",0", 17*3*64-1)+`]}],"outputs":[{"name":"map"}]}`))
	if r.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(answer), "17 rows, expected 1 to 16") {
		t.Errorf("status %d: %s", r.StatusCode, answer)
	}
	service := oip.NewService(large{d.engine}, oip.Options{})
	_, _, err := service.Explain(t.Context(), oip.Encoded{Name: "image", Data: []byte(picturePNG)}, "view", 0, serve.Explaining{})
	if fault := oip.FaultOf(err); fault.Kind != oip.TooLarge || !strings.Contains(fault.Message, "gradcam takes least") {
		t.Errorf("a map that is too large: %v", err)
	}
	if now, _ := service.Memory().Used(); now != 0 {
		t.Errorf("%d bytes are still taken", now)
	}
}

// large is an engine whose maps take more memory than there is.
type large struct{ *serve.Engine }

func (large) ExplainBytes(string, string, explain.Method) int64 { return 1 << 40 }
