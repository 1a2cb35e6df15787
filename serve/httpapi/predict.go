package httpapi

import (
	"fmt"
	"net/http"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
	"melo.example/melo/serve/oip"
)

// predictForm describes the form for the OpenAPI document.
type predictForm struct {
	Image   []file   `json:"image" doc:"Image files: PNG, JPEG, GIF, BMP, TIFF, WebP."`
	Adapter []string `json:"adapter" doc:"Names, or name@version; all asks every adapter that answers."`
}

// file stands for the bytes of a file.
type file struct{}

// Prediction is the answer to a form.
type Prediction struct {
	Results []Result  `json:"results" doc:"One for each image and adapter, by image."`
	Failed  []Failure `json:"failed" doc:"What could not be answered."`
	Notice  string    `json:"notice" doc:"What this program is not."`
}

// Result is what one adapter says about one image.
type Result struct {
	Image         int       `json:"image" doc:"Number of the image in the form, from 0."`
	File          string    `json:"file" doc:"Its name, as it was sent."`
	Adapter       Adapter   `json:"adapter" doc:"What answered."`
	Task          string    `json:"task" enum:"binary,multiclass,multilabel"`
	Labels        []string  `json:"labels"`
	Probabilities []float64 `json:"probabilities" doc:"One a label, calibrated where the adapter says how."`
	Logits        []float32 `json:"logits" doc:"One a label, before calibration."`
	Thresholds    []float64 `json:"thresholds,omitempty" doc:"Probability from which a label counts as present; absent if labels exclude each other."`
	Label         string    `json:"label" doc:"The most probable one."`
	Probability   float64   `json:"probability" doc:"Of that label."`
	Decision      []string  `json:"decision" doc:"The labels that count as present."`
	Timing        Timing    `json:"timing"`
}

// Adapter is which adapter answered.
type Adapter struct {
	Name    string `json:"name"`
	Version string `json:"version" doc:"Beginning of the digest."`
	Digest  string `json:"digest" doc:"Of the adapter's file."`
}

// Timing is where the time of an answer went, in seconds.
type Timing struct {
	Load    float64 `json:"load_seconds" doc:"Reading the adapter; 0 if it was in memory."`
	Prepare float64 `json:"prepare_seconds" doc:"Making the input of the image."`
	Queue   float64 `json:"queue_seconds" doc:"Waiting for a batch."`
	Compute float64 `json:"compute_seconds" doc:"Of the whole batch."`
	Batch   int     `json:"batch" doc:"Images of the batch."`
}

// Failure is an image that an adapter could not be asked about, or did not answer.
type Failure struct {
	Image   int    `json:"image"`
	File    string `json:"file"`
	Adapter string `json:"adapter,omitempty" doc:"As it was asked for; absent if the image cannot be read."`
	Kind    string `json:"kind" doc:"invalid, too_large, not_found, refused, overloaded, ..."`
	Error   string `json:"error"`
}

// predict answers a form.
func predict(a *api, w http.ResponseWriter, r *http.Request) error {
	separator, err := boundary(r)
	if err != nil {
		return err
	}
	in, err := a.open(w, r)
	if err != nil {
		return err
	}
	defer in.Release()
	f, err := parseForm(in, separator, a.Service.Limits())
	if err != nil {
		return err
	}
	in.Arrived()
	in.Keep(f.bytes())
	ctx, cancel := a.deadline(r)
	defer cancel()
	names := f.adapters
	if f.all {
		names = oip.Distinct(append(names, a.Service.Answering()...))
	}
	if n, limit := len(f.images)*len(names), a.Service.Limits().Answers; n > limit {
		return oip.NewFault(oip.TooLarge, fmt.Sprintf("%d images and %d adapters are %d answers, the limit is %d", len(f.images), len(names), n, limit))
	}
	answers, err := a.Service.Ask(ctx, f.images, names)
	if err != nil {
		return err
	}
	doc, first := f.document(a.Service, answers)
	if len(doc.Results) == 0 && first != nil {
		return first
	}
	return a.writeJSON(w, http.StatusOK, doc)
}

// bytes is the memory that the form takes.
func (f *form) bytes() int64 {
	n := int64(0)
	for _, img := range f.images {
		n += int64(cap(img.Data))
	}
	return n
}

// document collects the answers, and returns the first error.
func (f *form) document(s *oip.Service, answers []oip.Asked) (Prediction, *oip.Fault) {
	doc := Prediction{Results: []Result{}, Failed: []Failure{}, Notice: oip.Notice}
	var first *oip.Fault
	for i := range answers {
		x := &answers[i]
		if x.Err != nil {
			fault := oip.FaultOf(x.Err)
			if first == nil {
				first = fault
			}
			doc.Failed = append(doc.Failed, Failure{x.Image, f.files[x.Image], x.Adapter, fault.Kind.String(), fault.Message})
			continue
		}
		doc.Results = append(doc.Results, result(x, f.files[x.Image]))
	}
	return doc, first
}

func result(x *oip.Asked, file string) Result {
	r := Result{Image: x.Image, File: file, Adapter: Adapter(x.Answer.Identity), Task: string(task(x)), Labels: x.Answer.Labels,
		Probabilities: x.Answer.Probabilities, Logits: x.Answer.Logits, Thresholds: x.Answer.Thresholds, Label: x.Answer.Label, Probability: x.Answer.Probability,
		Decision: []string{}, Timing: timing(x.Answer.Timing)}
	if x.Answer.Present == nil {
		r.Decision = []string{x.Answer.Label}
	}
	for i, present := range x.Answer.Present {
		if present {
			r.Decision = append(r.Decision, x.Answer.Labels[i])
		}
	}
	return r
}

// task returns the kind of task, of an adapter that may be gone by now.
func task(x *oip.Asked) adapterfile.Task {
	if x.Task != "" {
		return x.Task
	}
	if x.Answer.Present == nil {
		return adapterfile.Multiclass
	}
	return adapterfile.Multilabel
}

func timing(t serve.Timing) Timing {
	return Timing{t.Load.Seconds(), t.Prepare.Seconds(), t.Queue.Seconds(), t.Compute.Seconds(), t.Batch}
}
