package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pageOf reads a report, which must name nothing outside itself.
func pageOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page, _, own := strings.Cut(string(text), "<script>") // that of the page itself, at its end
	if !own || !strings.HasSuffix(string(text), "</html>\n") {
		t.Errorf("%s is not whole", path)
	}
	for _, bad := range []string{"http:", "https:", "<script", "NaN", "%!"} {
		if strings.Contains(page, bad) {
			t.Errorf("%s contains %q", path, bad)
		}
	}
	return page
}

// wants checks that a page has texts.
func wants(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the report lacks %q", text)
		}
	}
}

// TestEvalHTML: the report has the numbers of the document, curves of each label, and the mistakes as pictures.
func TestEvalHTML(t *testing.T) {
	t.Parallel()
	data := table(t, trainingSet(t, 3, 14), "label", "group", "sex")
	adapter := trained(t, data)
	path := filepath.Join(t.TempDir(), "report.html")
	doc := evaluate(t, adapter, data, "--split", "all", "--html", path, "--by", "sex", "--pictures", "5", "--shortcuts", "0")
	if doc.Report != path {
		t.Errorf("the document names %q", doc.Report)
	}
	page := pageOf(t, path)
	wants(t, page, fmt.Sprintf("AUC %.3f (%.3f to %.3f)", *doc.AUC, doc.AUCInterval[0], doc.AUCInterval[1]), "class_a", "class_b", "class_c",
		"Subgroups", "Learning curves", doc.Adapter.Digest, "Research software, not a medical device.")
	wrong := 0
	for truth, row := range doc.Confusion.Counts {
		for decided, n := range row {
			if truth != decided {
				wrong += n
			}
		}
	}
	wants(t, page, fmt.Sprintf("<h3>%d wrong", wrong))
	if n := strings.Count(page, "data:image/jpeg"); n != 2*min(wrong, 5) { // and a map beside each
		t.Errorf("%d pictures, want %d", n, 2*min(wrong, 5))
	}
	wants(t, page, "Operating points", "sensitivity at least 0.90", "move the prevalence", "as here", "Are they like the training images?")
	if n := strings.Count(page, "<svg "); n != 3+3+2+3+3+1 {
		t.Errorf("%d figures, want 15", n)
	}
	wants(t, page, "In plain words", "of 100 images with it", "Certainty", "Accuracy where uncertain images are not answered")
	for _, x := range doc.PerLabel {
		wants(t, page, fmt.Sprintf("AUC %.3f</text>", *x.AUC))
	}
	evaluate(t, adapter, data, "--split", "all", "--html", path, "--pictures", "5", "--maps", "2", "--shortcuts", "0")
	if n := strings.Count(pageOf(t, path), "data:image/jpeg"); n != min(wrong, 5)+min(wrong, 2) {
		t.Errorf("%d pictures with two maps", n)
	}
	if doc := evaluate(t, adapter, data, "--split", "all", "--html", path, "--pictures", "0", "--shortcuts", "6"); doc.Shortcuts == nil || doc.Shortcuts.Images == 0 || doc.Shortcuts.Images > 6 {
		t.Errorf("shortcuts %+v", doc.Shortcuts)
	}
	wants(t, pageOf(t, path), "Does it read what is no finding?", "top left corner", "Mean maps")
	evaluate(t, adapter, data, "--html", path, "--pictures", "0", "--shortcuts", "0")
	if page := pageOf(t, path); strings.Contains(page, "data:image") || strings.Contains(page, "Worst mistakes") {
		t.Error("a report without pictures has some")
	}
}

// TestEvalHTMLMultiLabel: each label has a table of its decisions, and names are text wherever they stand.
func TestEvalHTMLMultiLabel(t *testing.T) {
	t.Parallel()
	data := table(t, trainingSet(t, 2, 14), "class_a", "class_b")
	csv := filepath.Join(data, "labels.csv")
	text, err := os.ReadFile(csv)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "path,class_a,class_b", "path,<b>a</b>,b&amp;", 1))
	if err := os.WriteFile(csv, text, 0o644); err != nil {
		t.Fatal(err)
	}
	adapter := trained(t, data, "--label-columns", "<b>a</b>,b&amp;", "--task", "multilabel")
	path := filepath.Join(t.TempDir(), "report.html")
	doc := evaluate(t, adapter, data, "--split", "all", "--html", path)
	page := pageOf(t, path)
	wants(t, page, "&lt;b&gt;a&lt;/b&gt;", "b&amp;amp;", "present", "absent")
	if strings.Contains(page, "<b>a</b>") {
		t.Error("a label is an element")
	}
	wrong := 0
	for _, k := range doc.Confusion.PerLabel {
		wrong += k.FP + k.FN
	}
	if found := regexp.MustCompile(`<h3>(\d+) wrong`).FindStringSubmatch(page); found == nil || found[1] != fmt.Sprint(wrong) {
		t.Errorf("%v, want %d wrong", found, wrong)
	}
}

// TestEvalOutputFolder: an output that cannot be written is found out before the work.
func TestEvalOutputFolder(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "no", "report.html")
	for _, option := range []string{"--html", "--predictions"} {
		r := melo(t, "eval", "--adapter", "missing.safetensors", "--data", "missing", option, missing).want(t, exitFailed)
		if !strings.Contains(r.err, filepath.Dir(missing)) {
			t.Errorf("%s: stderr %q", option, r.err)
		}
	}
}
