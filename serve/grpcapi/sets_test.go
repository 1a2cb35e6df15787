package grpcapi

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"melo.example/melo/conformal"
	"melo.example/melo/imaging"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
	"melo.example/melo/serve/oip"
	pb "melo.example/melo/serve/openinference"
	"melo.example/melo/serve/servetest"
)

// TestPredictionSets: the parameter coverage asks which labels cannot be excluded; of any other type, and out of range, it is
// refused, as is an adapter without a calibration for sets.
func TestPredictionSets(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	f := servetest.Calibrated(t, 7, adapterfile.Multilabel, "effusion", "nodule")
	servetest.Publish(t, d.dir, "grade", f)
	if err := d.engine.Registry().Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask := func(adapter string, coverage *pb.InferParameter) (*pb.ModelInferResponse, error) {
		r := &pb.ModelInferRequest{ModelName: adapter, Parameters: map[string]*pb.InferParameter{"coverage": coverage},
			Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: oip.InputImage, Datatype: oip.BYTES, Shape: []int64{2},
				Contents: &pb.InferTensorContents{BytesContents: [][]byte{servetest.PNG(t, 1, 20, 20), servetest.PNG(t, 2, 20, 20)}}}}}
		if coverage == nil {
			r.Parameters = nil
		}
		return d.ModelInfer(t.Context(), r)
	}
	number := func(v float64) *pb.InferParameter {
		return &pb.InferParameter{ParameterChoice: &pb.InferParameter_DoubleParam{DoubleParam: v}}
	}
	for _, coverage := range []float64{0.3, 0.9} {
		response, err := ask("grade", number(coverage))
		if err != nil {
			t.Fatal(err)
		}
		var sets []conformal.Set
		if err := json.Unmarshal([]byte(response.Parameters["sets"].GetStringParam()), &sets); err != nil || len(sets) != 2 {
			t.Fatalf("%v: %v", response.Parameters, err)
		}
		all, errs := d.engine.Predict(t.Context(), d.rows(t, "grade", coverage)...)
		for i, a := range all {
			if errs[i] != nil || !reflect.DeepEqual(*a.Set, sets[i]) || !reflect.DeepEqual(sets[i], f.Meta.Conformal.Of(a.Probabilities, a.Labels, coverage)) {
				t.Errorf("coverage %g, row %d: %+v, of the engine %+v, %v", coverage, i, sets[i], a.Set, errs[i])
			}
		}
	}
	if response, err := ask("grade", nil); err != nil || response.Parameters["sets"] != nil {
		t.Errorf("nobody asked: %v, %v", response, err)
	}
	for name, p := range map[string]*pb.InferParameter{"0": number(0), "1": number(1), "NaN": number(math.NaN()), "infinite": number(math.Inf(1)), "negative": number(-0.5), "nothing": {},
		"text": text("0.9"), "integer": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 1}}, "true": {ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: true}}} {
		if response, err := ask("grade", p); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "coverage") {
			t.Errorf("coverage %s: %v, %v", name, response, err)
		}
	}
	if _, err := ask("view", number(0.9)); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), `adapter "view" has no calibration`) {
		t.Errorf("without a calibration: %v", err)
	}
}

// rows are the questions of TestPredictionSets to the engine itself.
func (d *door) rows(t *testing.T, adapter string, coverage float64) (rows []serve.Request) {
	t.Helper()
	for seed := range uint64(2) {
		img, err := imaging.Decode(servetest.PNG(t, seed+1, 20, 20), "x")
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, serve.Request{Name: adapter, Coverage: coverage, NeedSet: true, Input: serve.Input{Image: img}})
	}
	return rows
}
