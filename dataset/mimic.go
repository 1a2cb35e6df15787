package dataset

import (
	"path"
	"strings"

	"melo.example/melo/dataset/store"
	"melo.example/melo/dataset/table"
)

// joinMIMIC joins MIMIC-CXR-JPG's tables: splits by image, findings by study, and views by image if that table
// exists. Studies without findings are dropped, because their labels are unknown.
func joinMIMIC(st store.Store, c *contents, images *lookup) (part, bool) {
	tables := map[string]*table.Table{}
	for _, name := range c.tables {
		base := strings.TrimSuffix(strings.ToLower(path.Base(name)), ".gz")
		for _, kind := range []string{"split", "chexpert", "negbio", "metadata"} {
			if !strings.HasPrefix(base, "mimic-cxr-2.0.0-"+kind+".csv") {
				continue
			}
			data, err := st.Read(name, maxSearchedBytes)
			if err != nil {
				continue
			}
			if t, err := table.Parse(data, name); err == nil {
				t.Path = st.Path(name)
				tables[kind] = t
			}
		}
	}
	t, findings := tables["split"], tables["chexpert"]
	if findings == nil {
		findings = tables["negbio"]
	}
	if t == nil || findings == nil {
		return part{}, false
	}
	image, study, studyThere := t.Column("dicom_id"), t.Column("study_id"), findings.Column("study_id")
	if image < 0 || study < 0 || studyThere < 0 {
		return part{}, false
	}
	known := make(map[string]bool, len(findings.Rows))
	for _, row := range findings.Rows {
		known[row[studyThere]] = true
	}
	rows, lines := t.Rows[:0:0], t.Lines[:0:0]
	for i, row := range t.Rows {
		if known[row[study]] {
			rows, lines = append(rows, row), append(lines, t.Lines[i])
		}
	}
	if n := len(t.Rows) - len(rows); n > 0 {
		t.Notes = append(t.Notes, "has images of studies without findings, which are left out")
	}
	t.Rows, t.Lines = rows, lines
	if len(rows) == 0 || !join(t, findings, study, studyThere) {
		return part{}, false
	}
	if m := tables["metadata"]; m != nil {
		if key := m.Column("dicom_id"); key >= 0 {
			join(t, m, image, key)
		}
	}
	return part{t: t, dir: path.Dir(c.tables[0])}, true
}
