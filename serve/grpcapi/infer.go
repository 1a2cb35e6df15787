package grpcapi

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"melo.example/melo/serve/oip"
	pb "melo.example/melo/serve/openinference"
)

// ModelInfer answers one inference request.
func (a *api) ModelInfer(ctx context.Context, r *pb.ModelInferRequest) (*pb.ModelInferResponse, error) {
	request, err := parseInfer(a.Service.Codec(), r)
	if err != nil {
		return nil, err
	}
	response, err := a.Service.Infer(ctx, request)
	if err != nil {
		return nil, err
	}
	return inferResponse(response), nil
}

// ModelStreamInfer answers the requests of a stream one after the other. A failed request is answered by an
// error message and does not end the stream.
func (a *api) ModelStreamInfer(stream pb.GRPCInferenceService_ModelStreamInferServer) error {
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := a.streamed(stream.Context(), r)
		if err != nil {
			return err
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

// streamed answers one request of a stream.
func (a *api) streamed(ctx context.Context, r *pb.ModelInferRequest) (*pb.ModelStreamInferResponse, error) {
	limited, cancel := context.WithTimeout(ctx, a.Request)
	defer cancel()
	m := messageOf(ctx)
	var response *pb.ModelInferResponse
	var err error
	if m != nil && m.err != nil {
		err = m.err
	} else {
		response, err = a.ModelInfer(limited, r)
	}
	if err == nil {
		return &pb.ModelStreamInferResponse{InferResponse: response}, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if m != nil {
		m.err = err
	}
	fault := oip.FaultOf(err)
	if fault.Kind == oip.Internal {
		a.Log.ErrorContext(ctx, "internal error", "request", oip.RequestID(ctx), "error", errors.Unwrap(fault))
	}
	// The ID tells the client which request failed.
	return &pb.ModelStreamInferResponse{ErrorMessage: fault.Message, InferResponse: &pb.ModelInferResponse{Id: r.Id, ModelName: r.ModelName}}, nil
}

// parseInfer converts an inference request.
func parseInfer(c *oip.Codec, r *pb.ModelInferRequest) (*oip.InferRequest, error) {
	request := &oip.InferRequest{Model: r.ModelName, Version: r.ModelVersion, ID: r.Id}
	timeout, ok, err := integer(r.Parameters, "timeout", int64(time.Hour/time.Microsecond))
	if err != nil {
		return nil, err
	}
	if ok {
		request.Timeout = time.Duration(timeout) * time.Microsecond
	}
	if request.Coverage, err = coverage(r.Parameters); err != nil {
		return nil, err
	}
	request.Explain, err = oip.ReadExplaining(func(name string) (string, error) { return textOf(r.Parameters, name) },
		func(name string, most int64) (int64, error) {
			n, _, err := integer(r.Parameters, name, most)
			return n, err
		})
	if err != nil {
		return nil, err
	}
	raw := r.RawInputContents
	if raw != nil && len(raw) != len(r.Inputs) {
		return nil, oip.Faultf(oip.Invalid, "%d raw_input_contents for %d inputs", len(raw), len(r.Inputs))
	}
	if len(r.Inputs) > oip.MaxTensors || len(r.Outputs) > oip.MaxTensors {
		return nil, oip.Faultf(oip.Invalid, "%d inputs and %d outputs, expected at most %d", len(r.Inputs), len(r.Outputs), oip.MaxTensors)
	}
	for i, in := range r.Inputs {
		t := oip.Tensor{Name: in.GetName(), Datatype: in.GetDatatype(), Shape: in.GetShape()}
		if _, ok := in.GetParameters()["shared_memory_region"]; ok {
			return nil, oip.Faultf(oip.Unsupported, "input %.64q: shared memory is not supported", t.Name)
		}
		if raw != nil {
			if in.GetContents() != nil {
				return nil, oip.Faultf(oip.Invalid, "input %.64q: has contents beside raw_input_contents", t.Name)
			}
			err = c.SetRaw(&t, raw[i])
		} else {
			t.Floats, t.Bytes = in.GetContents().GetFp32Contents(), in.GetContents().GetBytesContents()
			err = c.Check(&t)
		}
		if err != nil {
			return nil, err
		}
		request.Inputs = append(request.Inputs, t)
	}
	for _, out := range r.Outputs {
		classes, _, err := integer(out.GetParameters(), "classification", math.MaxInt32)
		if err != nil {
			return nil, err
		}
		if _, ok := out.GetParameters()["shared_memory_region"]; ok {
			return nil, oip.Faultf(oip.Unsupported, "output %.64q: shared memory is not supported", out.GetName())
		}
		request.Outputs = append(request.Outputs, oip.RequestedOutput{Name: out.GetName(), Classification: int(classes)})
	}
	return request, nil
}

// integer returns a parameter, which must be an integer from 0 to high.
func integer(parameters map[string]*pb.InferParameter, name string, high int64) (v int64, ok bool, err error) {
	p, ok := parameters[name]
	if !ok {
		return 0, false, nil
	}
	switch x := p.GetParameterChoice().(type) {
	case *pb.InferParameter_Int64Param:
		v = x.Int64Param
	case *pb.InferParameter_Uint64Param:
		v = int64(min(x.Uint64Param, math.MaxInt64))
	default:
		return 0, true, oip.Faultf(oip.Invalid, "parameter %q: expected an integer", name)
	}
	if v < 0 || v > high {
		return 0, true, oip.Faultf(oip.Invalid, "parameter %q is %d, expected 0 to %d", name, v, high)
	}
	return v, true, nil
}

// coverage returns the parameter of that name, 0 if it is absent.
func coverage(parameters map[string]*pb.InferParameter) (float64, error) {
	p, ok := parameters["coverage"]
	if !ok {
		return 0, nil
	}
	x, ok := p.GetParameterChoice().(*pb.InferParameter_DoubleParam)
	if !ok {
		return 0, oip.Faultf(oip.Invalid, "parameter %q: expected a number (double_param)", "coverage")
	}
	return x.DoubleParam, oip.CheckCoverage(x.DoubleParam)
}

// textOf returns a parameter that must be a string, empty if it is absent.
func textOf(parameters map[string]*pb.InferParameter, name string) (string, error) {
	p, ok := parameters[name]
	if !ok {
		return "", nil
	}
	x, ok := p.GetParameterChoice().(*pb.InferParameter_StringParam)
	if !ok {
		return "", oip.Faultf(oip.Invalid, "parameter %q: expected a string", name)
	}
	return x.StringParam, nil
}

// inferResponse writes an answer, with tensors in binary form, as Triton does.
func inferResponse(r *oip.InferResponse) *pb.ModelInferResponse {
	p := &pb.ModelInferResponse{ModelName: r.Name, ModelVersion: r.Version, Id: r.ID,
		Parameters: map[string]*pb.InferParameter{}}
	for name, value := range r.Parameters() {
		p.Parameters[name] = text(value)
	}
	for i := range r.Outputs {
		o := &r.Outputs[i]
		p.Outputs = append(p.Outputs, &pb.ModelInferResponse_InferOutputTensor{Name: o.Name, Datatype: o.Datatype, Shape: o.Shape})
		p.RawOutputContents = append(p.RawOutputContents, o.AppendRaw(nil))
	}
	return p
}

func text(s string) *pb.InferParameter {
	return &pb.InferParameter{ParameterChoice: &pb.InferParameter_StringParam{StringParam: s}}
}
