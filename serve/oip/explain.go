package oip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"melo.example/melo/explain"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
)

// MaxMaps is how many maps one request may ask for. Each takes a pass there and back, or more.
const MaxMaps = 16

// Explain asks an adapter ("name" or "name@version") about one image, and where the answer comes from. The coverage is that of Ask.
// The task is that of the adapter, empty of one that is gone by now.
func (s *Service) Explain(ctx context.Context, image Encoded, adapter string, coverage float64, how serve.Explaining) (x serve.Explanation, task adapterfile.Task, err error) {
	r := s.resolveAll(ctx, []string{adapter})[0]
	if r.err != nil {
		return x, "", r.err
	}
	room, err := s.explainRoom(ctx, r.Name, r.Digest, how)
	if err != nil {
		return x, "", err
	}
	err = s.decoder.decodeBeside(ctx, []Encoded{image}, room, func(_ int, list []Decoded) error {
		if err := firstError(list); err != nil {
			return err
		}
		q := s.question(r.Name, r.Digest, coverage)
		q.Input.Image = list[0].Image
		x, err = s.engine.Explain(ctx, q, how)
		return err
	})
	return x, r.task, err
}

// explainRoom is the memory that a map takes beside what is known of its image.
func (s *Service) explainRoom(ctx context.Context, name, version string, how serve.Explaining) (int64, error) {
	method, err := explain.ParseMethod(string(how.Method))
	if err != nil {
		return 0, &serve.InputError{Err: err}
	}
	if s.view(ctx).unknown(name, version) != nil {
		return 0, nil // what it takes would tell that it is there
	}
	bytes := s.engine.ExplainBytes(name, version, method)
	if most := s.memory.Most(); bytes > most {
		return 0, Faultf(TooLarge, "a map by %s takes %d bytes of memory beside this base, the limit is %d: %s takes least", method, bytes, most, explain.GradCAM)
	}
	return bytes, nil
}

// rows is how the rows of an inference request are asked about: for answers, or for answers and where they come from.
type rows struct {
	service *Service
	explain bool
	how     serve.Explaining
	maps    []serve.Explanation // of rows that were asked about
}

// room is the memory that asking takes beside the inputs.
func (x *rows) room(ctx context.Context, r *InferRequest) (int64, error) {
	if !x.explain {
		return 0, nil
	}
	return x.service.explainRoom(ctx, r.Model, r.Version, x.how)
}

// most is how many rows there may be.
func (x *rows) most() int {
	if x.explain {
		return min(MaxMaps, x.service.limits.Rows)
	}
	return x.service.limits.Rows
}

// ask asks about rows from number first on, all of one version, and returns the first error.
func (x *rows) ask(ctx context.Context, first int, part []serve.Request) ([]serve.Answer, error) {
	if !x.explain {
		return x.service.predictOnce(ctx, part)
	}
	x.maps = x.maps[:first] // an earlier try may have come further
	answers := make([]serve.Answer, len(part))
	for i, q := range part {
		q.Hidden = x.service.view(ctx).unknown(q.Name, q.Version) != nil
		m, err := x.service.engine.Explain(ctx, q, x.how)
		if err != nil {
			var unanswered *serve.AnswerError
			if errors.As(err, &unanswered) {
				err = fmt.Errorf("row %d: %w", first+i, err)
			}
			return nil, err
		}
		answers[i], x.maps = m.Answer, append(x.maps, m)
	}
	return answers, nil
}

// Explained returns which label of each row is explained as JSON: an object a row with label, against where there is one, and
// the probability of the label.
func (r *InferResponse) Explained() string {
	type one struct {
		Label       string  `json:"label"`
		Against     string  `json:"against,omitempty"`
		Probability float64 `json:"probability"`
	}
	list := make([]one, len(r.Maps))
	for i := range r.Maps {
		list[i] = one{r.Maps[i].Explained, r.Maps[i].Against, r.Maps[i].Share}
	}
	text, err := json.Marshal(list)
	if err != nil { // of finite numbers there is none
		return ""
	}
	return string(text)
}

// mapTensor collects an output of an explanation.
func mapTensor(name string, maps []serve.Explanation) Tensor {
	n, grid := int64(len(maps)), int64(maps[0].Grid)
	t := Tensor{Name: name, Datatype: FP32, Shape: []int64{n, grid, grid}}
	if name == OutputRegion {
		t.Shape = []int64{n, 4}
	}
	for i := range maps {
		if name == OutputMap {
			t.Floats = append(t.Floats, maps[i].Map...)
			continue
		}
		r := maps[i].Region
		t.Floats = append(t.Floats, float32(r.X), float32(r.Y), float32(r.W), float32(r.H))
	}
	return t
}

// The parameters of a request that say how an answer is explained: texts, and numbers of patches.
const (
	ParameterMethod  = "explain_method"
	ParameterLabel   = "explain_label"
	ParameterAgainst = "explain_against"
	ParameterWindow  = "explain_window"
	ParameterStride  = "explain_stride"
)

// maxWindow bounds window and stride, which no grid reaches.
const maxWindow = 1 << 12

// ReadExplaining reads how an answer is explained from the parameters of a request. The functions return a parameter, or its zero
// value where it is absent; integer checks that it is 0 to most.
func ReadExplaining(text func(name string) (string, error), integer func(name string, most int64) (int64, error)) (how serve.Explaining, err error) {
	method := ""
	for _, x := range []struct {
		name string
		to   *string
	}{{ParameterMethod, &method}, {ParameterLabel, &how.Label}, {ParameterAgainst, &how.Against}} {
		if *x.to, err = text(x.name); err != nil {
			return how, err
		}
	}
	how.Method = explain.Method(method)
	for _, x := range []struct {
		name string
		to   *int
	}{{ParameterWindow, &how.Window}, {ParameterStride, &how.Stride}} {
		n, err := integer(x.name, maxWindow)
		if err != nil {
			return how, err
		}
		*x.to = int(n)
	}
	return how, nil
}
