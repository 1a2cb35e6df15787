package oip

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"melo.example/melo/conformal"
	"melo.example/melo/fit"
	"melo.example/melo/serve"
)

// Names of the input and output tensors of every adapter.
const (
	InputPixels         = "pixel_values"  // FP32 [n, 3, side, side], preprocessed by the client
	InputImage          = "image"         // BYTES [n], encoded images
	OutputLogits        = "logits"        // FP32 [n, labels]
	OutputProbabilities = "probabilities" // FP32 [n, labels], calibrated
	OutputLabel         = "label"         // BYTES [n], the most probable label

	// Of an answer that is to be explained; given where a client names one of them.
	OutputMap    = "map"    // FP32 [n, grid, grid]: how much each patch speaks for the label that is explained
	OutputRegion = "region" // FP32 [n, 4]: where the map lies in the image, in pixels: x, y, width, height
)

// Platform is the platform in model metadata.
const Platform = "melo"

// outputs lists all outputs, in the default order.
var outputs = []string{OutputLogits, OutputProbabilities, OutputLabel}

// explained are the outputs of an explanation.
var explained = []string{OutputMap, OutputRegion}

// InferResponse is the answer to an InferRequest.
type InferResponse struct {
	serve.Identity
	ID        string
	Precision string // precision of the computation
	Outputs   []Output
	Rows      []serve.Answer      // what the outputs were made of
	Maps      []serve.Explanation // likewise, of an answer that was to be explained
}

// Output is one tensor of an answer.
type Output struct {
	Tensor
	Binary bool
}

// Infer answers an inference request. Each row is a request to the engine.
func (s *Service) Infer(ctx context.Context, r *InferRequest) (*InferResponse, error) {
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	wanted, err := wantedOutputs(r)
	if err != nil {
		return nil, err
	}
	rows := &rows{service: s, how: r.Explain, explain: slices.ContainsFunc(wanted, func(o RequestedOutput) bool { return slices.Contains(explained, o.Name) })}
	if !rows.explain && r.Explain != (serve.Explaining{}) {
		return nil, Faultf(Invalid, "the request says how an answer is to be explained, and asks for none of the outputs %q", explained)
	}
	answers, err := s.answer(ctx, r, rows)
	if err != nil {
		return nil, err
	}
	response := &InferResponse{Identity: answers[0].Identity, ID: r.ID, Precision: s.PrecisionOf(answers[0].Identity), Rows: answers, Maps: rows.maps}
	for _, w := range wanted {
		t, err := response.tensor(w)
		if err != nil {
			return nil, err
		}
		response.Outputs = append(response.Outputs, Output{Tensor: t, Binary: w.Binary})
	}
	return response, nil
}

// Fit returns the verdict on each row's image as JSON, one element per row; "" if the adapter has no
// description.
func (r *InferResponse) Fit() string {
	list := make([]*fit.Verdict, len(r.Rows))
	for i := range r.Rows {
		if list[i] = r.Rows[i].Fit; list[i] == nil {
			return ""
		}
	}
	text, err := json.Marshal(list)
	if err != nil { // cannot fail for finite numbers
		return ""
	}
	return string(text)
}

// Remarks returns the choices made about the images as JSON, a list per row; "" if there are none.
func (r *InferResponse) Remarks() string {
	list, some := make([][]string, len(r.Rows)), false
	for i := range r.Rows {
		list[i] = append([]string{}, r.Rows[i].Remarks...)
		some = some || len(list[i]) > 0
	}
	if !some {
		return ""
	}
	text, err := json.Marshal(list)
	if err != nil { // cannot fail for strings
		return ""
	}
	return string(text)
}

// Sets returns the labels of each row that cannot be excluded, as JSON: an element a row, null for an image that is unlike those
// of the training; empty if no sets were asked for, or the adapter can give none.
func (r *InferResponse) Sets() string {
	list := make([]*conformal.Set, len(r.Rows))
	for i := range r.Rows {
		if r.Rows[i].Coverage == 0 {
			return ""
		}
		list[i] = r.Rows[i].Set
	}
	text, err := json.Marshal(list)
	if err != nil { // of a finite number and strings there is none
		return ""
	}
	return string(text)
}

// Parameters are those of an answer: what answered, in which precision, and what there is to say of the images.
func (r *InferResponse) Parameters() map[string]string {
	p := map[string]string{"adapter": r.Name, "digest": r.Digest, "precision": r.Precision}
	if r.Base != "" {
		p["base"] = r.Base
	}
	if f := r.Fit(); f != "" {
		p["fit"] = f
	}
	if sets := r.Sets(); sets != "" {
		p["sets"] = sets
	}
	if m := r.Remarks(); m != "" {
		p["remarks"] = m
	}
	if len(r.Maps) > 0 {
		p["explain_method"], p["explained"] = string(r.Maps[0].Method), r.Explained()
	}
	return p
}

// wantedOutputs validates and returns the outputs that a request asks for.
func wantedOutputs(r *InferRequest) ([]RequestedOutput, error) {
	if len(r.Outputs) == 0 {
		all := make([]RequestedOutput, len(outputs))
		for i, name := range outputs {
			all[i] = RequestedOutput{Name: name, Binary: r.BinaryOutput}
		}
		return all, nil
	}
	for i, o := range r.Outputs {
		switch {
		case !slices.Contains(outputs, o.Name) && !slices.Contains(explained, o.Name):
			return nil, Faultf(Invalid, "output %q: expected one of %q", o.Name, append(slices.Clone(outputs), explained...))
		case o.Classification > 0 && o.Name != OutputLogits && o.Name != OutputProbabilities:
			return nil, Faultf(Invalid, "output %q has no classification: ask for that of %q or %q", o.Name, OutputLogits, OutputProbabilities)
		case slices.ContainsFunc(r.Outputs[:i], func(p RequestedOutput) bool { return p.Name == o.Name }):
			return nil, Faultf(Invalid, "output %q is asked for twice", o.Name)
		}
	}
	return r.Outputs, nil
}

// answer asks the engine about every row, all of one version.
func (s *Service) answer(ctx context.Context, r *InferRequest, x *rows) ([]serve.Answer, error) {
	if len(r.Inputs) != 1 {
		return nil, Faultf(Invalid, "%d inputs, expected one: %q or %q", len(r.Inputs), InputPixels, InputImage)
	}
	in := &r.Inputs[0]
	switch in.Name {
	case InputPixels:
		return s.askPixels(ctx, r, in, x)
	case InputImage:
		return s.askImages(ctx, r, in, x)
	}
	return nil, Faultf(Invalid, "input %q: expected %q or %q", clip(in.Name), InputPixels, InputImage)
}

// askPixels takes a tensor [n, 3, side, side], or [3, side, side], apart.
func (s *Service) askPixels(ctx context.Context, r *InferRequest, in *Tensor, x *rows) ([]serve.Answer, error) {
	side, shape := int64(s.sideOf(r.Model, r.Version)), in.Shape
	if len(shape) == 3 {
		shape = slices.Insert(slices.Clone(shape), 0, 1)
	}
	if in.Floats == nil || len(shape) != 4 || shape[1] != 3 || shape[2] != side || shape[3] != side {
		return nil, Faultf(Invalid, "input %q: %s %s, expected FP32, FP16 or BF16 [n,3,%d,%d]", in.Name, clip(in.Datatype), shapeString(in.Shape), side, side)
	}
	if err := in.checkFinite(); err != nil {
		return nil, err
	}
	rows, err := s.newRows(r, shape[0], x.most())
	if err != nil {
		return nil, err
	}
	room, err := x.room(ctx, r)
	if err != nil {
		return nil, err
	}
	values := int(3 * side * side)
	for i := range rows {
		rows[i].Input.Tensor = in.Floats[i*values : (i+1)*values : (i+1)*values]
	}
	release, err := s.tensors(ctx, len(rows), room)
	if err != nil {
		return nil, err
	}
	defer release()
	var answers []serve.Answer
	err = s.oneVersion(ctx, r.Model, r.Version, len(rows), func(name, version string) (err error) {
		for i := range rows {
			rows[i].Name, rows[i].Version = name, version
		}
		answers, err = x.ask(ctx, 0, rows)
		return err
	})
	return answers, err
}

// askImages decodes a tensor [n], or [n, 1], of encoded images, part by part.
func (s *Service) askImages(ctx context.Context, r *InferRequest, in *Tensor, x *rows) ([]serve.Answer, error) {
	if in.Datatype != BYTES || len(in.Shape) > 2 || len(in.Shape) == 2 && in.Shape[1] != 1 {
		return nil, Faultf(Invalid, "input %q: %s %s, expected BYTES [n]", in.Name, clip(in.Datatype), shapeString(in.Shape))
	}
	rows, err := s.newRows(r, int64(len(in.Bytes)), x.most())
	if err != nil {
		return nil, err
	}
	room, err := x.room(ctx, r)
	if err != nil {
		return nil, err
	}
	encoded := make([]Encoded, len(in.Bytes))
	for i, data := range in.Bytes {
		encoded[i] = Encoded{Name: rowName(i), Data: data}
	}
	var answers []serve.Answer
	err = s.oneVersion(ctx, r.Model, r.Version, len(rows), func(name, version string) error {
		answers = answers[:0]
		return s.decoder.decodeBeside(ctx, encoded, room, func(first int, list []Decoded) error {
			if err := firstError(list); err != nil {
				return err
			}
			part := rows[first : first+len(list)]
			for i := range part {
				part[i] = s.question(name, version, r.Coverage)
				part[i].Input.Image = list[i].Image
			}
			more, err := x.ask(ctx, first, part)
			clear(part)
			answers = append(answers, more...)
			return err
		})
	})
	return answers, err
}

// newRows returns n requests without inputs.
func (s *Service) newRows(r *InferRequest, n int64, most int) ([]serve.Request, error) {
	if n < 1 || n > int64(most) {
		return nil, Faultf(TooLarge, "%d rows, expected 1 to %d", n, most)
	}
	rows := make([]serve.Request, n)
	for i := range rows {
		rows[i] = s.question(r.Model, r.Version, r.Coverage)
	}
	return rows, nil
}

// question is a request of the engine without its input. Without a coverage it has the server's, which no adapter must be able to give.
func (s *Service) question(name, version string, coverage float64) serve.Request {
	return serve.Request{Name: name, Version: version, Coverage: cmp.Or(coverage, s.options.Coverage), NeedSet: coverage > 0}
}

// tensor collects one output of all rows.
func (r *InferResponse) tensor(w RequestedOutput) (Tensor, error) {
	if slices.Contains(explained, w.Name) {
		return mapTensor(w.Name, r.Maps), nil
	}
	return outputTensor(w, r.Rows)
}

// outputTensor collects one output of all rows.
func outputTensor(w RequestedOutput, rows []serve.Answer) (Tensor, error) {
	n, labels := int64(len(rows)), int64(len(rows[0].Labels))
	t := Tensor{Name: w.Name, Datatype: BYTES, Shape: []int64{n}}
	switch {
	case w.Name == OutputLabel:
		for i := range rows {
			label := rows[i].Label
			if f := rows[i].Fit; f != nil && f.Unlike {
				label = "" // no label is decided
			}
			t.Bytes = append(t.Bytes, []byte(label))
		}
	case w.Classification > 0:
		count := min(int64(w.Classification), labels)
		t.Shape = []int64{n, count}
		for i := range rows {
			t.Bytes = append(t.Bytes, classes(values(w.Name, &rows[i]), rows[i].Labels, int(count))...)
		}
	default:
		t.Datatype, t.Shape = FP32, []int64{n, labels}
		for i := range rows {
			t.Floats = append(t.Floats, values(w.Name, &rows[i])...)
		}
	}
	return t, nil
}

// values returns the values of one row.
func values(output string, a *serve.Answer) []float32 {
	if output == OutputLogits {
		return a.Logits
	}
	narrow := make([]float32, len(a.Probabilities))
	for i, p := range a.Probabilities {
		narrow[i] = float32(p)
	}
	return narrow
}

// classes returns the n largest values as "value:index:label", largest first and ties in order, with six
// decimals as in Triton.
func classes(v []float32, labels []string, n int) [][]byte {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(v[b], v[a]) })
	list := make([][]byte, n)
	for i, at := range order[:n] {
		s := strconv.AppendFloat(nil, float64(v[at]), 'f', 6, 64)
		s = append(strconv.AppendInt(append(s, ':'), int64(at), 10), ':')
		list[i] = append(s, labels[at]...)
	}
	return list
}
