package main

import (
	"os"
	"reflect"
	"testing"

	"melo.example/melo/client"
	"melo.example/melo/explain"
)

// checkServedMaps compares the maps of a server with those that "melo explain" makes of the same files, number for number.
func checkServedMaps(t *testing.T, s *served, token, adapter string, images []string) {
	t.Helper()
	c, err := client.New(client.Options{Server: s.doc.HTTP, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range explain.Methods() {
		var doc explainDocument
		melo(t, append([]string{"--json", "explain", "--adapter", adapter, "--precision", s.doc.Precision, "--method", string(m), "--label", "class_b", "--out", t.TempDir()}, images...)...).
			want(t, exitDone).decode(t, &doc)
		for i, here := range doc.Results {
			file, err := os.ReadFile(images[i])
			if err != nil {
				t.Fatal(err)
			}
			there, err := c.Explain(t.Context(), client.Question{Adapter: "toy"}, file, client.Explaining{Method: string(m), Label: "class_b"})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(here.Map, there.Map) || here.Grid != there.Grid || here.Width != there.Width || here.Height != there.Height ||
				here.Region.X != there.Region.X || here.Region.Height != there.Region.Height || here.Label != there.Label || here.Probability != there.Probability ||
				!reflect.DeepEqual(here.Probabilities, there.Result.Probabilities) || (here.Fit == nil) != (there.Result.Fit == nil) {
				t.Errorf("%s of %s: here %+v\nthere %+v", m, images[i], here, there)
			}
			if here.Fit != nil && (here.Fit.Score != there.Result.Fit.Score || here.Fit.Unlike != there.Result.Fit.Unlike) {
				t.Errorf("%s of %s: fit %+v, there %+v", m, images[i], here.Fit, there.Result.Fit)
			}
		}
	}
}
