package grpcapi

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"melo.example/melo/serve"
	"melo.example/melo/serve/oip"
	pb "melo.example/melo/serve/openinference"
	"melo.example/melo/serve/servetest"
)

// TestExplain: an answer has the map of the engine where that is asked for by name, of the label that a parameter names.
func TestExplain(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	q := pixels("view", 3)
	q.Parameters = map[string]*pb.InferParameter{"explain_method": text("rollout"), "explain_label": text("side")}
	q.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "map"}, {Name: "probabilities"}}
	r, err := d.ModelInfer(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	want, err := d.engine.Explain(t.Context(), serve.Request{Name: "view", Input: serve.Input{Tensor: servetest.Tensor(3)}}, serve.Explaining{Method: "rollout", Label: "side"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(floats(r.RawOutputContents[0]), want.Map) || !slices.Equal(r.Outputs[0].Shape, []int64{1, 2, 2}) ||
		r.Parameters["explain_method"].GetStringParam() != "rollout" || !strings.HasPrefix(r.Parameters["explained"].GetStringParam(), `[{"label":"side"`) {
		t.Errorf("%v", r)
	}
	for name, change := range map[string]func(){
		"unknown method":     func() { q.Parameters["explain_method"] = text("magic") },
		"expected a string":  func() { q.Parameters["explain_method"] = &pb.InferParameter{} },
		"no label":           func() { q.Parameters = map[string]*pb.InferParameter{"explain_label": text("nobody")} },
		"expected an integ":  func() { q.Parameters = map[string]*pb.InferParameter{"explain_window": text("x")} },
		"none of the output": func() { q.Parameters, q.Outputs = map[string]*pb.InferParameter{"explain_label": text("side")}, nil },
	} {
		before, outputs := q.Parameters, q.Outputs
		q.Parameters = map[string]*pb.InferParameter{}
		for k, v := range before {
			q.Parameters[k] = v
		}
		change()
		if _, err := d.ModelInfer(t.Context(), q); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, expected %q", err, name)
		}
		q.Parameters, q.Outputs = before, outputs
	}
}
