package main

import (
	"encoding/binary"
	"fmt"
	"math"

	pb "melo.example/melo/serve/openinference"
)

// rest is the picture as the body of an inference request: a JSON head of so many bytes, and the data. An encoded image
// is asked for its probabilities, a prepared one for its logits, which servers other than melo have, too.
func (p *picture) rest() (head int, body []byte) {
	if p.side > 0 {
		body = fmt.Appendf(nil, `{"inputs":[{"name":"pixel_values","datatype":"FP32","shape":[1,3,%d,%d],"parameters":{"binary_data_size":%d}}],`+
			`"outputs":[{"name":"logits","parameters":{"binary_data":true}}]}`, p.side, p.side, len(p.data))
		return len(body), append(body, p.data...)
	}
	body = fmt.Appendf(nil, `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":%d}}],`+
		`"outputs":[{"name":"probabilities","parameters":{"binary_data":true}}]}`, len(p.data)+4)
	head = len(body)
	return head, append(binary.LittleEndian.AppendUint32(body, uint32(len(p.data))), p.data...)
}

// grpc is the picture as an inference request.
func (p *picture) grpc(adapter string) *pb.ModelInferRequest {
	if p.side > 0 {
		shape := []int64{1, 3, int64(p.side), int64(p.side)}
		return &pb.ModelInferRequest{ModelName: adapter, RawInputContents: [][]byte{p.data},
			Inputs:  []*pb.ModelInferRequest_InferInputTensor{{Name: "pixel_values", Datatype: "FP32", Shape: shape}},
			Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "logits"}}}
	}
	contents := &pb.InferTensorContents{BytesContents: [][]byte{p.data}}
	return &pb.ModelInferRequest{ModelName: adapter,
		Inputs:  []*pb.ModelInferRequest_InferInputTensor{{Name: "image", Datatype: "BYTES", Shape: []int64{1}, Contents: contents}},
		Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "probabilities"}}}
}

// floats reads a binary tensor FP32.
func floats(raw []byte) []float32 {
	v := make([]float32, len(raw)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return v
}
