// Package study draws what experiments found: the report of an evaluation, and the report of a comparison. A report is a
// [report.Page], which whoever asked for it writes.
package study

import (
	"context"

	"melo.example/melo/experiment"
	"melo.example/melo/report"
)

// ROC is the section with the ROC curves of the labels.
func ROC(ctx context.Context, j *experiment.Judgement) (report.Section, error) {
	roc, _, err := judgement{Judgement: j}.curves(ctx)
	return roc, err
}

// Matrices are the confusion matrices of one method: of all labels, or of each by itself.
func Matrices(j *experiment.Judgement, m *experiment.Judged) report.Matrices {
	return judgement{Judgement: j}.matrices(m)
}
