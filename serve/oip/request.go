package oip

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"

	"melo.example/melo/conformal"
	"melo.example/melo/serve"
)

// InferRequest is an inference request from either endpoint. One adapter answers all its rows.
type InferRequest struct {
	Model, Version string
	ID             string        // from the client, echoed
	Timeout        time.Duration // 0: none; parameter "timeout", in microseconds
	Inputs         []Tensor
	Outputs        []RequestedOutput // none: all
	BinaryOutput   bool              // REST: outputs are binary where they do not say
	// Coverage is that of the sets of labels that cannot be excluded, parameter "coverage"; 0: as the server has it.
	Coverage float64
	Explain  serve.Explaining // how the answer is explained, where an output is asked for that needs it
}

// RequestedOutput is an output that the client requests.
type RequestedOutput struct {
	Name           string
	Classification int  // 0: the tensor itself; else the number of best classes, as strings
	Binary         bool // REST: in binary form
}

// parameters are the parameters of a request, an input or an output: JSON values by name.
type parameters map[string][]byte

// integer returns a parameter that must be an integer from low to high. ok is false if it is missing.
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

// coverage returns the parameter of that name, 0 if it is absent.
func (p parameters) coverage() (float64, error) {
	raw, ok := p[coverageName]
	if !ok {
		return 0, nil
	}
	v, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, Faultf(Invalid, "parameter %q is %s, expected a number", coverageName, clip(string(raw)))
	}
	return v, CheckCoverage(v)
}

// coverageName is the parameter that asks for sets of labels.
const coverageName = "coverage"

// CheckCoverage refuses a coverage that cannot be.
func CheckCoverage(v float64) error {
	if err := conformal.Check(v); err != nil {
		return NewFault(Invalid, err.Error())
	}
	return nil
}

// text returns a parameter that must be a string, empty if it is absent.
func (p parameters) text(name string) (string, error) {
	raw, ok := p[name]
	if !ok {
		return "", nil
	}
	return jsonValue(raw).text("parameter " + strconv.Quote(name))
}

// boolean returns a parameter that must be true or false.
func (p parameters) boolean(name string, otherwise bool) (bool, error) {
	switch raw, ok := p[name]; {
	case !ok:
		return otherwise, nil
	case raw == nil:
		return false, Faultf(Invalid, "parameter %q is null, expected true or false", name)
	case string(raw) == "true":
		return true, nil
	case string(raw) == "false":
		return false, nil
	default:
		return false, Faultf(Invalid, "parameter %q is %s, expected true or false", name, clip(string(raw)))
	}
}

// maxTimeout limits a client's own deadline to about an hour.
const maxTimeout = int64(time.Hour / time.Microsecond)

// MaxTensors limits the number of inputs and of outputs of a request.
const MaxTensors = 16

// Codec parses requests within limits.
type Codec struct {
	limits Limits
	side   func() int // maximum side of an input in pixels
}

// NewCodec returns a codec for inputs with a side of side pixels.
func NewCodec(limits Limits, side int) *Codec {
	return &Codec{limits: limits.WithDefaults(), side: func() int { return side }}
}

// Limits returns the codec's limits.
func (c *Codec) Limits() Limits { return c.limits }

// ParseJSON parses the body of a REST inference request. header is the length of the JSON object before the
// binary tensors, from the header Inference-Header-Content-Length. If it is negative there are no binary
// tensors, and the body is JSON. With 0 the body is a single encoded image. Tensors of BYTES are views of body.
func (c *Codec) ParseJSON(body []byte, header int64) (*InferRequest, error) {
	switch {
	case header == 0:
		return &InferRequest{BinaryOutput: true, Inputs: []Tensor{{Name: InputImage, Datatype: BYTES, Shape: []int64{1}, Bytes: [][]byte{body}}}}, nil
	case header < 0:
		header = int64(len(body))
	case header > int64(len(body)):
		return nil, Faultf(Invalid, "Inference-Header-Content-Length is %d, the body has %d bytes", header, len(body))
	}
	doc, err := newJSON(body[:header])
	if err != nil {
		return nil, err
	}
	r := &InferRequest{}
	p := &inferParser{codec: c, request: r, rest: body[header:]}
	if err := p.parse(doc); err != nil {
		return nil, err
	}
	if len(p.rest) > 0 {
		return nil, Faultf(Invalid, "%d bytes after the last binary tensor", len(p.rest))
	}
	return r, nil
}

// Bytes returns the memory of a request's tensors in addition to the body from which they were parsed.
func (r *InferRequest) Bytes() int64 {
	n := int64(0)
	for i := range r.Inputs {
		t := &r.Inputs[i]
		n += 4 * int64(len(t.Floats))
		for _, b := range t.Bytes {
			n += int64(len(b))
		}
	}
	return n
}

// inferParser parses the JSON object of a request. It checks limits as it parses.
type inferParser struct {
	codec   *Codec
	request *InferRequest
	rest    []byte // binary tensors that no input has consumed yet
}

func (p *inferParser) parse(doc jsonValue) error {
	r := p.request
	var inputs, outputs jsonValue
	err := doc.members(func(name string, v jsonValue) (err error) {
		switch name {
		case "id":
			r.ID, err = v.text("id")
		case "parameters":
			err = p.parameters(v)
		case "inputs":
			inputs = v
		case "outputs":
			outputs = v
		}
		return err
	})
	if err != nil {
		return err
	}
	// Fields may come in any order, so parameters are applied to outputs afterwards.
	if err := inputs.each("inputs", p.input); err != nil {
		return err
	}
	return outputs.each("outputs", p.output)
}

func (p *inferParser) parameters(v jsonValue) error {
	parameters, err := v.parameters()
	if err != nil {
		return err
	}
	micros, _, err := parameters.integer("timeout", 0, maxTimeout)
	if err != nil {
		return err
	}
	p.request.Timeout = time.Duration(micros) * time.Microsecond
	if p.request.Coverage, err = parameters.coverage(); err != nil {
		return err
	}
	if p.request.BinaryOutput, err = parameters.boolean("binary_data_output", false); err != nil {
		return err
	}
	p.request.Explain, err = ReadExplaining(parameters.text, func(name string, most int64) (int64, error) {
		n, _, err := parameters.integer(name, 0, most)
		return n, err
	})
	return err
}

// input parses one input. Its binary form, if it has one, is at the beginning of rest.
func (p *inferParser) input(v jsonValue) error {
	if len(p.request.Inputs) == MaxTensors {
		return Faultf(Invalid, "more than %d inputs", MaxTensors)
	}
	var t Tensor
	var data jsonValue
	var parameters parameters
	err := v.members(func(name string, v jsonValue) (err error) {
		switch name {
		case "name":
			t.Name, err = v.text("the name of an input")
		case "datatype":
			t.Datatype, err = v.text("datatype")
		case "shape":
			t.Shape, err = v.integers("shape", maxDimensions)
		case "parameters":
			parameters, err = v.parameters()
		case "data":
			data = v
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, ok := parameters["shared_memory_region"]; ok {
		return Faultf(Unsupported, "input %q: shared memory is not supported", clip(t.Name))
	}
	size, binary, err := parameters.integer("binary_data_size", 0, math.MaxInt64)
	switch {
	case err != nil:
	case !binary:
		err = p.codec.setJSON(&t, data, parameters)
	case data != nil:
		err = Faultf(Invalid, "input %q: has data both in JSON and in binary form", clip(t.Name))
	case size > int64(len(p.rest)):
		err = Faultf(Invalid, "input %q: binary_data_size is %d, %d bytes are left in the body", clip(t.Name), size, len(p.rest))
	default:
		err = p.codec.SetRaw(&t, p.rest[:size])
		p.rest = p.rest[size:]
	}
	p.request.Inputs = append(p.request.Inputs, t)
	return err
}

// output parses one requested output.
func (p *inferParser) output(v jsonValue) error {
	if len(p.request.Outputs) == MaxTensors {
		return Faultf(Invalid, "more than %d outputs", MaxTensors)
	}
	var o RequestedOutput
	var parameters parameters
	err := v.members(func(name string, v jsonValue) (err error) {
		switch name {
		case "name":
			o.Name, err = v.text("the name of an output")
		case "parameters":
			parameters, err = v.parameters()
		}
		return err
	})
	if err != nil {
		return err
	}
	o.Name = clip(o.Name)
	if _, ok := parameters["shared_memory_region"]; ok {
		return Faultf(Unsupported, "output %q: shared memory is not supported", o.Name)
	}
	classes, _, err := parameters.integer("classification", 1, math.MaxInt32)
	if err != nil {
		return err
	}
	o.Classification = int(classes)
	o.Binary, err = parameters.boolean("binary_data", p.request.BinaryOutput)
	p.request.Outputs = append(p.request.Outputs, o)
	return err
}

// SetRaw sets the elements of a tensor with known Shape and Datatype from its binary form. Elements of BYTES
// are views of raw.
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
	switch {
	case t.Datatype == FP32:
	case t.Datatype == BYTES:
		found, other = other, found
	case isFloat(t.Datatype):
		return Faultf(Invalid, "input %q: %s is sent in raw_input_contents, as the protocol has no other place for it", t.Name, t.Datatype)
	default:
		return unknownDatatype(t)
	}
	if int64(found) != n || other != 0 {
		return Faultf(Invalid, "input %q: %d elements of %s, its shape %s says %d", t.Name, found, t.Datatype, shapeString(t.Shape), n)
	}
	return nil
}

// limit returns the maximum number of elements of a tensor.
func (c *Codec) limit(t *Tensor) int64 {
	if t.Datatype == BYTES {
		return int64(c.limits.Rows)
	}
	side := int64(c.side())
	return int64(c.limits.Rows) * 3 * side * side
}

// setJSON sets the elements of a tensor from JSON: numbers or, for BYTES, strings, in possibly nested arrays. A
// string is base64 or, with the parameter content_type "str" or if it is not valid base64, UTF-8 text.
func (c *Codec) setJSON(t *Tensor, data jsonValue, p parameters) error {
	t.Name = clip(t.Name)
	n, err := elements(t.Name, t.Shape, c.limit(t))
	if err != nil {
		return err
	}
	if data == nil {
		return Faultf(Invalid, "input %q: has no data", t.Name)
	}
	// Every element takes at least a byte and a separator, so a shape alone allocates nothing.
	if n > int64(len(data)) {
		return Faultf(Invalid, "input %q: shape %s is %d elements, the data has fewer", t.Name, shapeString(t.Shape), n)
	}
	switch {
	case isFloat(t.Datatype):
		t.Floats, err = jsonFloats(t.Name, data, int(n))
		if err == nil {
			err = t.narrow()
		}
	case t.Datatype == BYTES:
		t.Bytes, err = jsonBytes(t.Name, data, int(n), string(p["content_type"]) == `"str"`)
	default:
		err = unknownDatatype(t)
	}
	return err
}

// jsonFloats parses n numbers from valid JSON.
func jsonFloats(name string, data jsonValue, n int) ([]float32, error) {
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
		const longest = 800 // more digits than can matter
		if end-i > longest {
			return nil, Faultf(Invalid, "input %q: element %d has %d digits", name, len(list), end-i)
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

// jsonBytes parses n strings: base64, or UTF-8 if they are not base64 or plain is set.
func jsonBytes(name string, data jsonValue, n int, plain bool) ([][]byte, error) {
	list := make([][]byte, 0, n)
	for token := range data.leaves() {
		if len(token) == 0 || token[0] != '"' {
			return nil, Faultf(Invalid, "input %q: element %d is not a string", name, len(list))
		}
		if len(list) == n {
			return nil, Faultf(Invalid, "input %q: more than the %d strings of its shape", name, n)
		}
		s, err := jsonValue(token).bytes()
		if err != nil {
			return nil, err
		}
		if !plain {
			b := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
			if k, err := base64.StdEncoding.Decode(b, s); err == nil {
				s = b[:k]
			}
		}
		list = append(list, s)
	}
	if len(list) != n {
		return nil, Faultf(Invalid, "input %q: %d strings, its shape says %d", name, len(list), n)
	}
	return list, nil
}
