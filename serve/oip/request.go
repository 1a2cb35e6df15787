package oip

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// InferRequest is one inference request, from either door. Its rows are answered by one adapter.
type InferRequest struct {
	Model, Version string
	ID             string        // the client's, echoed
	Timeout        time.Duration // 0: none; parameter "timeout", in microseconds
	Inputs         []Tensor
	Outputs        []RequestedOutput // none: all
	BinaryOutput   bool              // REST: outputs are binary where they do not say
}

// RequestedOutput is one output that the client wants.
type RequestedOutput struct {
	Name           string
	Classification int  // 0: the tensor itself; else the number of best classes, as strings
	Binary         bool // REST: in binary form
}

// jsonRequest is the JSON object of an inference request. Fields that the protocol does not have are ignored, as
// it asks.
type jsonRequest struct {
	ID         string       `json:"id"`
	Parameters parameters   `json:"parameters"`
	Inputs     []jsonInput  `json:"inputs"`
	Outputs    []jsonOutput `json:"outputs"`
}

type jsonInput struct {
	Name       string          `json:"name"`
	Datatype   string          `json:"datatype"`
	Shape      []int64         `json:"shape"`
	Parameters parameters      `json:"parameters"`
	Data       json.RawMessage `json:"data"`
}

type jsonOutput struct {
	Name       string     `json:"name"`
	Parameters parameters `json:"parameters"`
}

// parameters are the free parameters of a request, an input or an output.
type parameters map[string]json.RawMessage

// integer returns a parameter that must be an integer from low to high. ok is false if it is absent.
func (p parameters) integer(name string, low, high int64) (v int64, ok bool, err error) {
	raw, ok := p[name]
	if !ok {
		return 0, false, nil
	}
	v, err = strconv.ParseInt(string(raw), 10, 64)
	if err != nil || v < low || v > high {
		return 0, true, Faultf(Invalid, "parameter %q is %s, expected an integer from %d to %d", name, clip(string(raw)), low, high)
	}
	return v, true, nil
}

// boolean returns a parameter that must be true or false.
func (p parameters) boolean(name string, otherwise bool) (bool, error) {
	switch raw := p[name]; {
	case raw == nil:
		return otherwise, nil
	case string(raw) == "true":
		return true, nil
	case string(raw) == "false":
		return false, nil
	default:
		return false, Faultf(Invalid, "parameter %q is %s, expected true or false", name, clip(string(raw)))
	}
}

// maxTimeout bounds a client's own deadline: about an hour.
const maxTimeout = int64(time.Hour / time.Microsecond)

// MaxTensors bounds the number of inputs and of outputs of a request.
const MaxTensors = 16

// Codec reads requests within limits.
type Codec struct {
	limits   Limits
	elements int64 // of one input
}

// NewCodec returns a codec for inputs of side pixels.
func NewCodec(limits Limits, side int) *Codec {
	limits = limits.WithDefaults()
	return &Codec{limits: limits, elements: int64(limits.Rows) * 3 * int64(side) * int64(side)}
}

// Limits returns the limits that the codec holds clients to.
func (c *Codec) Limits() Limits { return c.limits }

// ParseJSON reads the body of a REST inference request. header is the length of the JSON object in front of the binary
// tensors, from the header field Inference-Header-Content-Length; below 0 there is none, and the body is JSON. With
// 0 the body is a single encoded image and nothing else. Tensors of BYTES are views into body.
func (c *Codec) ParseJSON(body []byte, header int64) (*InferRequest, error) {
	switch {
	case header == 0:
		return &InferRequest{BinaryOutput: true, Inputs: []Tensor{{Name: InputImage, Datatype: BYTES, Shape: []int64{1}, Bytes: [][]byte{body}}}}, nil
	case header < 0:
		header = int64(len(body))
	case header > int64(len(body)):
		return nil, Faultf(Invalid, "Inference-Header-Content-Length is %d, the body has %d bytes", header, len(body))
	}
	var doc jsonRequest
	if err := decodeJSON(body[:header], &doc); err != nil {
		return nil, err
	}
	if len(doc.Inputs) > MaxTensors || len(doc.Outputs) > MaxTensors {
		return nil, Faultf(Invalid, "%d inputs and %d outputs, expected at most %d", len(doc.Inputs), len(doc.Outputs), MaxTensors)
	}
	r := &InferRequest{ID: doc.ID}
	micros, _, err := doc.Parameters.integer("timeout", 0, maxTimeout)
	if err != nil {
		return nil, err
	}
	r.Timeout = time.Duration(micros) * time.Microsecond
	if r.BinaryOutput, err = doc.Parameters.boolean("binary_data_output", false); err != nil {
		return nil, err
	}
	rest := body[header:]
	for i := range doc.Inputs {
		var t Tensor
		if t, rest, err = c.input(&doc.Inputs[i], rest); err != nil {
			return nil, err
		}
		r.Inputs = append(r.Inputs, t)
	}
	if len(rest) > 0 {
		return nil, Faultf(Invalid, "%d bytes after the last binary tensor", len(rest))
	}
	for i := range doc.Outputs {
		o, err := doc.Outputs[i].output(r.BinaryOutput)
		if err != nil {
			return nil, err
		}
		r.Outputs = append(r.Outputs, o)
	}
	return r, nil
}

// decodeJSON decodes one JSON value with nothing after it.
func decodeJSON(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return Faultf(Invalid, "the request is not the JSON that the protocol asks for: %s", clean(err.Error()))
	}
	return nil
}

// input reads one input, whose binary form is at the beginning of rest if it has one.
func (c *Codec) input(in *jsonInput, rest []byte) (t Tensor, _ []byte, err error) {
	t = Tensor{Name: in.Name, Datatype: in.Datatype, Shape: in.Shape}
	if _, ok := in.Parameters["shared_memory_region"]; ok {
		return t, rest, Faultf(Unsupported, "input %q: shared memory is not supported", clip(t.Name))
	}
	size, binary, err := in.Parameters.integer("binary_data_size", 0, math.MaxInt64)
	switch {
	case err != nil:
		return t, rest, err
	case !binary:
		return t, rest, c.setJSON(&t, in.Data)
	case in.Data != nil:
		return t, rest, Faultf(Invalid, "input %q: has data both in JSON and in binary form", clip(t.Name))
	case size > int64(len(rest)):
		return t, rest, Faultf(Invalid, "input %q: binary_data_size is %d, %d bytes are left in the body", clip(t.Name), size, len(rest))
	}
	return t, rest[size:], c.SetRaw(&t, rest[:size])
}

// SetRaw fills in a tensor, of which Shape and Datatype are known, from its binary form. Elements of BYTES are views
// into raw.
func (c *Codec) SetRaw(t *Tensor, raw []byte) error {
	t.Name = clip(t.Name)
	return t.setRaw(raw, c.limit(t))
}

// Check compares the elements of a tensor with its shape and the limits.
func (c *Codec) Check(t *Tensor) error {
	t.Name = clip(t.Name)
	n, err := elements(t.Name, t.Shape, c.limit(t))
	if err != nil {
		return err
	}
	found, other := len(t.Floats), len(t.Bytes)
	switch t.Datatype {
	case FP32:
	case BYTES:
		found, other = other, found
	default:
		return unknownDatatype(t)
	}
	if int64(found) != n || other != 0 {
		return Faultf(Invalid, "input %q: %d elements of %s, its shape %s says %d", t.Name, found, t.Datatype, shapeString(t.Shape), n)
	}
	return nil
}

// limit is the number of elements that a tensor may have.
func (c *Codec) limit(t *Tensor) int64 {
	if t.Datatype == BYTES {
		return int64(c.limits.Rows)
	}
	return c.elements
}

// setJSON fills in a tensor from JSON: numbers or, for BYTES, strings of base64, in arrays that may be nested.
func (c *Codec) setJSON(t *Tensor, data []byte) error {
	t.Name = clip(t.Name)
	n, err := elements(t.Name, t.Shape, c.limit(t))
	if err != nil {
		return err
	}
	// Every element takes a byte and a separator at least, so a shape alone allocates nothing.
	if n > int64(len(data)) {
		return Faultf(Invalid, "input %q: shape %s is %d elements, the data has fewer", t.Name, shapeString(t.Shape), n)
	}
	switch t.Datatype {
	case FP32:
		t.Floats, err = jsonFloats(t.Name, data, int(n))
	case BYTES:
		t.Bytes, err = jsonBytes(t.Name, data, int(n))
	default:
		err = unknownDatatype(t)
	}
	return err
}

// jsonFloats reads n numbers from valid JSON.
func jsonFloats(name string, data []byte, n int) ([]float32, error) {
	list := make([]float32, 0, n)
	for i := 0; i < len(data); {
		if strings.IndexByte("[], \t\r\n", data[i]) >= 0 {
			i++
			continue
		}
		end := i
		for end < len(data) && strings.IndexByte("], \t\r\n", data[end]) < 0 {
			end++
		}
		if len(list) == n {
			return nil, Faultf(Invalid, "input %q: more than the %d numbers of its shape", name, n)
		}
		v, err := strconv.ParseFloat(string(data[i:end]), 32)
		if err != nil || data[i] != '-' && (data[i] < '0' || data[i] > '9') {
			return nil, Faultf(Invalid, "input %q: element %d is %s, expected a number that fits FP32", name, len(list), clip(string(data[i:end])))
		}
		list = append(list, float32(v))
		i = end
	}
	if len(list) != n {
		return nil, Faultf(Invalid, "input %q: %d numbers, its shape says %d", name, len(list), n)
	}
	return list, nil
}

// jsonBytes reads n strings of base64.
func jsonBytes(name string, data []byte, n int) ([][]byte, error) {
	list := make([][]byte, 0, n)
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := d.Token()
		if err != nil {
			break // the end: data is valid JSON
		}
		if _, ok := token.(json.Delim); ok {
			continue
		}
		s, ok := token.(string)
		if !ok {
			return nil, Faultf(Invalid, "input %q: element %d is not a string (of base64)", name, len(list))
		}
		if len(list) == n {
			return nil, Faultf(Invalid, "input %q: more than the %d strings of its shape", name, n)
		}
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, Faultf(Invalid, "input %q: element %d: bytes are sent as base64 in JSON, or as a binary tensor: %v", name, len(list), err)
		}
		list = append(list, b)
	}
	if len(list) != n {
		return nil, Faultf(Invalid, "input %q: %d strings, its shape says %d", name, len(list), n)
	}
	return list, nil
}

// output reads one requested output.
func (o *jsonOutput) output(binary bool) (RequestedOutput, error) {
	r := RequestedOutput{Name: clip(o.Name)}
	if _, ok := o.Parameters["shared_memory_region"]; ok {
		return r, Faultf(Unsupported, "output %q: shared memory is not supported", r.Name)
	}
	classes, _, err := o.Parameters.integer("classification", 1, math.MaxInt32)
	if err != nil {
		return r, err
	}
	r.Classification = int(classes)
	r.Binary, err = o.Parameters.boolean("binary_data", binary)
	return r, err
}
