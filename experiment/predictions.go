package experiment

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"melo.example/melo/internal/atomicfile"
)

// WritePredictions writes a CSV table with a row per image: path and group, truth and decision, probabilities
// and logits.
func (e *Evaluation) WritePredictions(path string) error {
	j := e.j
	return atomicfile.Write(path, 0o666, func(out io.Writer) error {
		w := csv.NewWriter(out)
		labels := j.adapter.Labels()
		head := []string{"path", "group"}
		if j.exclusive() {
			head = append(head, "label", "decided")
		}
		for _, prefix := range []string{"true:", "probability:", "logit:"} {
			for _, l := range labels {
				head = append(head, prefix+l)
			}
		}
		w.Write(append(append(head, "unlike", "fit_score"), j.o.By...))
		for k, i := range j.samples {
			w.Write(j.row(k, i))
		}
		w.Flush()
		return w.Error()
	})
}

// row returns the row of sample i, which is at position k.
func (j *evalJob) row(k, i int) []string {
	x, p := &j.data.Samples[i], &j.answers[k]
	row := []string{x.Path, x.Group}
	if j.exclusive() {
		row = append(row, j.adapter.Labels()[x.Label], strings.Join(j.rule.Decision(p), "|"))
	}
	for l := range p.Logits {
		row = append(row, map[bool]string{true: "1", false: "0"}[j.has(i, l)])
	}
	for _, v := range p.Probabilities {
		row = append(row, strconv.FormatFloat(v, 'g', -1, 64))
	}
	for _, v := range p.Logits {
		row = append(row, strconv.FormatFloat(float64(v), 'g', -1, 32))
	}
	if p.Fit == nil {
		row = append(row, "", "")
	} else {
		row = append(row, strconv.FormatBool(p.Fit.Unlike), strconv.FormatFloat(p.Fit.Score, 'g', 6, 64))
	}
	for _, by := range j.o.By {
		row = append(row, x.Attr[by])
	}
	return row
}
