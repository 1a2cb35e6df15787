package httpapi

import (
	"fmt"
	"net/http"

	"melo.example/melo/explain"
	"melo.example/melo/serve"
	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/wire"
)

// Explanation is where an answer comes from.
type Explanation = wire.Explanation

// explainForm describes the form for the OpenAPI document.
type explainForm struct {
	Image    []file   `json:"image" schema:"minItems=1,maxItems=1" doc:"One image file: PNG, JPEG, GIF, BMP, TIFF, WebP, PNM, DICOM."`
	Adapter  []string `json:"adapter" schema:"minItems=1,maxItems=1,items.minLength=1" doc:"One name, or name@version."`
	Frame    int      `json:"frame,omitempty" schema:"minimum=1,maximum=1048576" doc:"Frame of a DICOM object, or page of a TIFF file, of several; the first by default."`
	Coverage float64  `json:"coverage,omitempty" schema:"exclusiveMinimum=0,exclusiveMaximum=1" doc:"As that of /v1/predict."`
	Method   string   `json:"method,omitempty" enum:"gradcam,attribution,rollout,occlusion" doc:"How the map is made; attribution by default."`
	Label    string   `json:"label,omitempty" doc:"That is explained; that of the answer by default."`
	Against  string   `json:"against,omitempty" doc:"That it is compared with; none by default."`
	Window   int      `json:"window,omitempty" schema:"minimum=1,maximum=1048576" doc:"Side of what occlusion covers, in patches; 2 by default."`
	Stride   int      `json:"stride,omitempty" schema:"minimum=1,maximum=1048576" doc:"Step of what occlusion covers, in patches; 1 by default."`
}

// explainImage answers a form.
func explainImage(a *api, w http.ResponseWriter, r *http.Request) error {
	f, in, err := a.form(w, r, "method", "label", "against", "window", "stride")
	if err != nil {
		return err
	}
	defer in.Release()
	switch {
	case f.all || len(f.adapters) != 1:
		return oip.NewFault(oip.Invalid, "the form names no adapter or several, expected one in a field adapter")
	case len(f.images) != 1:
		return oip.NewFault(oip.TooLarge, fmt.Sprintf("%d images, expected one: each map is a request of its own", len(f.images)))
	}
	how := serve.Explaining{Method: explain.Method(f.more["method"]), Label: f.more["label"], Against: f.more["against"]}
	for name, to := range map[string]*int{"window": &how.Window, "stride": &how.Stride} {
		if text := f.more[name]; text != "" {
			if *to, err = parseNumber(text, name, 1); err != nil {
				return err
			}
		}
	}
	ctx, cancel := a.deadline(r)
	defer cancel()
	x, task, err := a.Service.Explain(ctx, f.images[0], f.adapters[0], f.coverage, how)
	if err != nil {
		return err
	}
	return a.writeJSON(w, http.StatusOK, Explanation{Result: result(a.Service, &oip.Asked{Adapter: f.adapters[0], Task: task, Answer: x.Answer}, f.files[0]),
		Method: string(x.Method), Label: x.Explained, Against: x.Against, Probability: x.Share, Width: x.Width, Height: x.Height,
		Region: wire.Region{X: x.Region.X, Y: x.Region.Y, Width: x.Region.W, Height: x.Region.H}, Grid: x.Grid, Map: x.Map,
		Precision: a.Service.PrecisionOf(x.Identity), Notice: oip.Notice})
}
