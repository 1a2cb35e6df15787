package httpapi

import (
	"fmt"
	"net/http"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/serve"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/wire"
)

// predictForm describes the form for the OpenAPI document.
type predictForm struct {
	Image   []file   `json:"image" schema:"minItems=1" doc:"Image files: PNG, JPEG, GIF, BMP, TIFF, WebP, PNM, DICOM."`
	Adapter []string `json:"adapter" schema:"minItems=1,items.minLength=1" doc:"Names, or name@version; all asks every adapter that answers."`
	// Coverage is text in the form.
	Coverage float64 `json:"coverage,omitempty" schema:"exclusiveMinimum=0,exclusiveMaximum=1" doc:"Say which labels cannot be excluded: sets that hold the truth for this share of images, such as 0.9. An adapter without a calibration for it is an error."`
	Frame    int     `json:"frame,omitempty" schema:"minimum=1,maximum=1048576" doc:"Frame of DICOM objects, or page of TIFF files, of several; the first by default."`
}

// file represents the bytes of a file.
type file struct{}

// The documents of the interface.
type (
	// Prediction is the answer to a form.
	Prediction = wire.Prediction
	// Result is the answer of one adapter for one image.
	Result = wire.Result
	// Adapter identifies the adapter that answered.
	Adapter = wire.Adapter
	// Timing says how the time of an answer was spent, in seconds.
	Timing = wire.Timing
	// Failure is an image without an answer of an adapter.
	Failure = wire.Failure
	// AdapterList lists the available adapters.
	AdapterList = wire.AdapterList
)

// predict answers a form.
func predict(a *api, w http.ResponseWriter, r *http.Request) error {
	f, in, err := a.form(w, r)
	if err != nil {
		return err
	}
	defer in.Release()
	if len(f.adapters) == 0 && !f.all {
		return oip.NewFault(oip.Invalid, "the form has no field adapter; all asks every adapter")
	}
	ctx, cancel := a.deadline(r)
	defer cancel()
	names := f.adapters
	if f.all {
		names = oip.Distinct(append(names, a.Service.Answering(r.Context())...))
	}
	if n, limit := len(f.images)*len(names), a.Service.Limits().Answers; n > limit {
		return oip.NewFault(oip.TooLarge, fmt.Sprintf("%d images and %d adapters are %d answers, the limit is %d", len(f.images), len(names), n, limit))
	}
	answers, err := a.Service.Ask(ctx, f.images, names, f.coverage)
	if err != nil {
		return err
	}
	doc, first := f.document(a.Service, answers)
	if len(doc.Results) == 0 && first != nil {
		return first
	}
	return a.writeJSON(w, http.StatusOK, doc)
}

// form receives a form, which may have the further fields. The caller releases the body.
func (a *api) form(w http.ResponseWriter, r *http.Request, further ...string) (*form, *oip.Body, error) {
	separator, err := boundary(r)
	if err != nil {
		return nil, nil, err
	}
	in, err := a.open(w, r)
	if err != nil {
		return nil, nil, err
	}
	f, err := parseForm(in, separator, a.Service.Limits(), further...)
	if err != nil {
		in.Release()
		return nil, nil, err
	}
	in.Arrived()
	in.Keep(f.bytes())
	return f, in, nil
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
	doc := Prediction{Results: []Result{}, Failed: []Failure{}, Precision: s.Precision(), Notice: oip.Notice}
	var first *oip.Fault
	for i := range answers {
		x := &answers[i]
		if x.Err != nil {
			fault := oip.FaultOf(x.Err)
			if first == nil {
				first = fault
			}
			doc.Failed = append(doc.Failed, Failure{Image: x.Image, File: f.files[x.Image], Adapter: x.Adapter, Kind: fault.Kind.String(), Error: fault.Message})
			continue
		}
		doc.Results = append(doc.Results, result(s, x, f.files[x.Image]))
	}
	return doc, first
}

func result(s *oip.Service, x *oip.Asked, file string) Result {
	r := Result{Image: x.Image, File: file, Adapter: Adapter(x.Answer.Identity), Task: string(task(x)), Labels: x.Answer.Labels,
		Probabilities: x.Answer.Probabilities, Logits: x.Answer.Logits, Thresholds: x.Answer.Thresholds, Label: x.Answer.Label, Probability: x.Answer.Probability,
		Decision: x.Answer.Decision, Fit: (*wire.Fit)(x.Answer.Fit), Set: (*wire.Set)(x.Answer.Set), Remarks: x.Answer.Remarks, Timing: timing(x.Answer.Timing)}
	if r.Adapter.Base != "" {
		r.Precision = s.PrecisionOf(x.Answer.Identity)
	}
	return r
}

// task returns the task of an adapter, which may have been removed.
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
	return Timing{Load: t.Load.Seconds(), Prepare: t.Prepare.Seconds(), Queue: t.Queue.Seconds(), Compute: t.Compute.Seconds(), Batch: t.Batch}
}
