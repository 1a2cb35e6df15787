package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"melo.example/melo/conformal"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/servetest"
)

// newCalibratedDoor has an adapter more, grade, that can give prediction sets.
func newCalibratedDoor(t *testing.T, coverage float64) (*door, *adapterfile.File) {
	t.Helper()
	d := newDoorOf(t, oip.Options{Coverage: coverage})
	f := servetest.Calibrated(t, 7, adapterfile.Multiclass, "a", "b", "c")
	servetest.Publish(t, d.dir, "grade", f)
	if err := d.engine.Registry().Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d, f
}

// TestPredictionSets: form and protocol say which labels cannot be excluded, by the adapter's calibration, where it is asked
// for; an adapter without one is refused by name, or, where the server alone asks, answers without.
func TestPredictionSets(t *testing.T) {
	picture := servetest.PNG(t, 1, 20, 20)
	form := func(d *door, fields ...string) (int, Prediction, string) {
		response, text := d.do("POST", "/v1/predict", formHeader, formOf(append([]string{"image", string(picture)}, fields...)...))
		var p Prediction
		_ = json.Unmarshal(text, &p) // or it is an error
		return response.StatusCode, p, string(text)
	}
	infer := func(d *door, adapter, parameters string) (int, string, string) {
		body := fmt.Appendf(nil, `{"parameters":{%s},"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":[%q]}]}`, parameters, base64.StdEncoding.EncodeToString(picture))
		response, text := d.do("POST", "/v2/models/"+adapter+"/infer", nil, body)
		var doc inferResponse
		_ = json.Unmarshal(text, &doc) // or it is an error
		return response.StatusCode, doc.Parameters["sets"], string(text)
	}
	d, f := newCalibratedDoor(t, 0)
	sizes := map[int]bool{}
	for _, coverage := range []float64{0.05, 0.3, 0.5, 0.9, 0.999} {
		status, p, text := form(d, "adapter", "grade", "coverage", fmt.Sprint(coverage))
		if status != http.StatusOK || len(p.Results) != 1 || p.Results[0].Set == nil {
			t.Fatalf("coverage %g: %d %s", coverage, status, text)
		}
		want := f.Meta.Conformal.Of(p.Results[0].Probabilities, p.Results[0].Labels, coverage)
		if got := conformal.Set(*p.Results[0].Set); !reflect.DeepEqual(got, want) {
			t.Errorf("coverage %g: %+v, want %+v", coverage, got, want)
		}
		sizes[len(want.Labels)] = true
		status, sets, text := infer(d, "grade", fmt.Sprintf(`"coverage":%g`, coverage))
		var list []*conformal.Set
		if err := json.Unmarshal([]byte(sets), &list); status != http.StatusOK || err != nil || len(list) != 1 || !reflect.DeepEqual(*list[0], want) {
			t.Errorf("coverage %g: %d %s, want %+v", coverage, status, text, want)
		}
	}
	if len(sizes) < 2 {
		t.Error("the sets are all of one size: the test tells nothing")
	}
	if _, p, text := form(d, "adapter", "grade"); len(p.Results) != 1 || strings.Contains(text, `"set"`) {
		t.Errorf("nobody asked: %s", text)
	}
	if _, sets, text := infer(d, "grade", ""); sets != "" {
		t.Errorf("nobody asked: %s", text)
	}
	const none = `adapter \"view\" has no calibration for prediction sets`
	if status, _, text := form(d, "adapter", "view", "coverage", "0.9"); status != http.StatusBadRequest || !strings.Contains(text, none) {
		t.Errorf("without a calibration: %d %s", status, text)
	}
	if status, _, text := infer(d, "view", `"coverage":0.9`); status != http.StatusBadRequest || !strings.Contains(text, none) {
		t.Errorf("without a calibration: %d %s", status, text)
	}
	status, p, text := form(d, "adapter", "all", "coverage", "0.9")
	if status != http.StatusOK || len(p.Results) != 1 || len(p.Failed) != 3 || p.Failed[0].Kind != "invalid" {
		t.Errorf("all adapters: %d %s", status, text)
	}
	if _, text := d.do("GET", "/v1/adapters", nil, nil); bytes.Count(text, []byte(`"sets":true`)) != 1 {
		t.Errorf("one adapter can give sets: %s", text)
	}

	// The server asks by itself.
	d, _ = newCalibratedDoor(t, 0.9)
	status, p, text = form(d, "adapter", "all")
	if status != http.StatusOK || len(p.Results) != 4 || strings.Count(text, `"set":`) != 1 || !strings.Contains(text, `"coverage":0.9`) {
		t.Errorf("the server's coverage: %d %s", status, text)
	}
	if _, sets, text := infer(d, "grade", ""); !strings.Contains(sets, `"coverage":0.9`) {
		t.Errorf("the server's coverage: %s", text)
	}
	if status, sets, text := infer(d, "view", ""); status != http.StatusOK || sets != "" {
		t.Errorf("the server's coverage, of an adapter without: %d %s", status, text)
	}
	if _, sets, text := infer(d, "grade", `"coverage":0.5`); !strings.Contains(sets, `"coverage":0.5`) {
		t.Errorf("the request's coverage: %s", text)
	}
}
