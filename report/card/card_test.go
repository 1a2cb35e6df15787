package card

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"

	"melo.example/melo/experiment"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
)

// example is an adapter whose label needs escaping, with an evaluation of the given split.
func example(split string, same bool) Source {
	auc := 0.875
	return Source{Name: "chest", Digest: "sha256:aa", Parameters: 1234,
		Metadata: &adapterfile.Metadata{Method: lora.MeLo, Task: "binary", Labels: adapterfile.Labels("<none> & more", "disease"), Base: adapterfile.Base{ID: "vit", Digest: "sha256:bb"},
			Sites:    []adapterfile.SiteGroup{{Kind: "q", Blocks: []int{0, 1}, Rank: 8}},
			Training: &adapterfile.Training{Program: "melo 1", Data: &adapterfile.DataInfo{Name: "chest", Images: 10}, Split: &adapterfile.SplitInfo{Rule: "random, whole groups", Train: 6, Val: 2, Test: 2}}},
		Evaluation: &experiment.EvaluationDocument{Adapter: experiment.AdapterReference{Digest: "sha256:aa"}, Data: experiment.EvaluatedData{Split: split, Training: same},
			Numbers: experiment.Numbers{N: 2, AUC: &auc, AUCInterval: &[2]float64{0.5, 0.95}}, PerLabel: []experiment.LabelNumbers{{Label: "<none> & more", Positives: 1, Negatives: 1}},
			Bootstrap: experiment.Bootstrap{Level: 0.95, Unit: "group", Units: 2}}}
}

// TestCard: what is known is there, what is not is a named blank, facts fill blanks, and the XML reads back as it was.
func TestCard(t *testing.T) {
	s := example("test", true)
	s.Facts = map[string]string{"BasicInfo.ModelDeveloper": "a < b & c", "CLAIM.5": "retrospective", "Resources.ClinicalTrial": "none | yet"}
	d, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := d.Card.WriteXML(&out); err != nil {
		t.Fatal(err)
	}
	var back AppliedModelCard
	if err := xml.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	for what, v := range map[string][2]string{"developer": {back.BasicInfo.ModelDeveloper, "a < b & c"}, "trial": {back.Resources.ClinicalTrial, "none | yet"},
		"label": {back.ModelSummary.Keywords.Keyword[3], "<none> & more"}, "version": {back.ReleaseInfo.ReleaseVersion, "sha256:aa"},
		"funding": {back.TrustIngredients.TransparencyInformation.FundingSource, "[to be filled in: who paid for the development]"},
		"metric":  {back.KeyMetrics.UsefulnessUsabilityEfficacy.Results.MetricResult[0].ValueJSON, `{"interval95":[0.5,0.95],"value":0.875}`}} {
		if v[0] != v[1] {
			t.Errorf("%s is %q, want %q", what, v[0], v[1])
		}
	}
	open := map[string]bool{}
	for _, b := range d.Blanks {
		if open[b.Name] || b.Ask == "" {
			t.Errorf("blank %+v", b)
		}
		open[b.Name] = true
	}
	if open["BasicInfo.ModelDeveloper"] || open["CLAIM.5"] || open["CLAIM.20"] || !open["CLAIM.6"] || !open["TRIPOD.18a"] || !open["Resources.EvaluationReferences"] {
		t.Errorf("blanks %v", open)
	}
	if len(d.Claim.Items) != 44 || len(d.Tripod.Items) != 52 {
		t.Errorf("%d items of CLAIM, %d of TRIPOD+AI", len(d.Claim.Items), len(d.Tripod.Items))
	}
	out.Reset()
	if err := d.Claim.WriteMarkdown(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| 5 | prospective or retrospective | retrospective |", "Patients (groups)", "AUC 0.875 (0.500 to 0.950)", "&lt;none>"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("CLAIM lacks %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := d.Card.WriteJSON(&out); err != nil || !json.Valid(out.Bytes()) || !strings.Contains(out.String(), `"ModelDeveloper": "a < b & c"`) {
		t.Errorf("%v: %s", err, out.String())
	}
}

// TestCardTellsWhatTrainingSaw: numbers of images that had a part in training are called that.
func TestCardTellsWhatTrainingSaw(t *testing.T) {
	for _, c := range []struct {
		split string
		same  bool
		want  string
	}{{"test", true, "had no part in training"}, {"val", true, "too good"}, {"all", true, "too good"}, {"test", false, "is not known"}} {
		d, err := New(example(c.split, c.same))
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Card.KeyMetrics.SafetyReliability.ValidationProcessAndJustification; !strings.Contains(got, c.want) || !strings.Contains(d.Card.ModelSummary.Summary, c.want) {
			t.Errorf("%s, %v: %q", c.split, c.same, got)
		}
	}
}

// TestCardRefuses: facts that nothing asks for, and an evaluation of another adapter.
func TestCardRefuses(t *testing.T) {
	s := example("test", true)
	s.Facts = map[string]string{"BasicInfo.Developer": "x"}
	if _, err := New(s); err == nil || !strings.Contains(err.Error(), "BasicInfo.Developer") {
		t.Errorf("%v", err)
	}
	s = example("test", true)
	s.Evaluation.Adapter.Digest = "sha256:cc"
	if _, err := New(s); err == nil || !strings.Contains(err.Error(), "sha256:cc") {
		t.Errorf("%v", err)
	}
	s = example("test", true)
	s.Evaluation = nil
	if d, err := New(s); err != nil || !strings.Contains(d.Card.ModelSummary.Summary, "No evaluation") {
		t.Errorf("%v", err)
	}
}
