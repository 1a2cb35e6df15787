package oip

import (
	"errors"
	"testing"

	"melo.example/melo/fit"
	"melo.example/melo/serve"
)

// A row whose image is unlike those of the training has no label; what is known of the rows is a JSON text, and nothing where
// one of them is unknown.
func TestFitOfAResponse(t *testing.T) {
	rows := []serve.Answer{
		{Labels: []string{"a", "b"}, Label: "a", Fit: &fit.Verdict{Score: 1.25, Percentile: 40}},
		{Labels: []string{"a", "b"}, Label: "b", Fit: &fit.Verdict{Unlike: true, Score: 9, Percentile: 100}},
	}
	r := InferResponse{Rows: rows}
	if got, want := r.Fit(), `[{"unlike":false,"score":1.25,"percentile":40},{"unlike":true,"score":9,"percentile":100}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	labels, err := outputTensor(RequestedOutput{Name: OutputLabel}, rows)
	if err != nil || string(labels.Bytes[0]) != "a" || len(labels.Bytes[1]) != 0 {
		t.Errorf("labels %q, error %v", labels.Bytes, err)
	}
	rows[0].Fit = nil
	if got := r.Fit(); got != "" {
		t.Errorf("of an adapter that does not know: %s", got)
	}
	fault := FaultOf(&serve.AnswerError{Name: "x", Err: &fit.UnlikeError{Verdict: fit.Verdict{Unlike: true, Score: 9, Percentile: 100}}})
	if fault.Kind != Unlike || errors.Unwrap(fault) == nil {
		t.Errorf("got %v: %v", fault.Kind, fault)
	}
}
