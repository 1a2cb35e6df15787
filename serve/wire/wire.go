// Package wire defines the documents of the server's own REST interface, for the server and for clients.
// Package oip defines those of the Open Inference Protocol.
package wire

import "melo.example/melo/lora/adapterfile"

// Prediction is the answer to a form.
type Prediction struct {
	Results   []Result  `json:"results" doc:"One for each image and adapter, by image."`
	Failed    []Failure `json:"failed" doc:"What could not be answered."`
	Precision string    `json:"precision" doc:"Of the base's products: f32, bf16 or int8. Answers in another differ. Empty where results say their own."`
	Notice    string    `json:"notice" doc:"What this program is not."`
}

// Result is the answer of one adapter for one image.
type Result struct {
	Image         int       `json:"image" doc:"Number of the image in the form, from 0."`
	File          string    `json:"file" doc:"Its name, as it was sent."`
	Adapter       Adapter   `json:"adapter" doc:"What answered."`
	Precision     string    `json:"precision,omitempty" doc:"Of the products of the adapter's base, where the server has several bases."`
	Task          string    `json:"task" enum:"binary,multiclass,multilabel"`
	Labels        []string  `json:"labels"`
	Probabilities []float64 `json:"probabilities" doc:"One a label, calibrated where the adapter says how."`
	Logits        []float32 `json:"logits" doc:"One a label, before calibration."`
	Thresholds    []float64 `json:"thresholds,omitempty" doc:"Probability from which a label counts as present; absent if labels exclude each other."`
	Label         string    `json:"label" doc:"The most probable one."`
	Probability   float64   `json:"probability" doc:"Of that label."`
	Decision      []string  `json:"decision" doc:"The labels that count as present; none if the image is unlike those of the training."`
	Fit           *Fit      `json:"fit,omitempty" doc:"Whether the image is like those of the training; absent if the adapter does not know."`
	Set           *Set      `json:"set,omitempty" doc:"The labels that cannot be excluded; absent if no coverage was asked for, if the adapter has no calibration for it, and for an image that is unlike those of the training."`
	Remarks       []string  `json:"remarks,omitempty" doc:"What was chosen about the image where its file leaves a choice: the page or frame of several, samples that use a part of their range, damaged parts."`
	Timing        Timing    `json:"timing"`
}

// Explanation is the answer to a form that asks where an answer comes from.
type Explanation struct {
	Result      Result    `json:"result" doc:"The answer itself."`
	Method      string    `json:"method" enum:"gradcam,attribution,rollout,occlusion"`
	Label       string    `json:"label" doc:"That is explained."`
	Against     string    `json:"against,omitempty" doc:"That it is compared with; absent if none is."`
	Probability float64   `json:"probability" doc:"Of the label that is explained."`
	Width       int       `json:"width" doc:"Of the image, upright, in pixels."`
	Height      int       `json:"height"`
	Region      Region    `json:"region" doc:"What of the image the model saw: there the map lies."`
	Grid        int       `json:"grid" doc:"Patches along a side of the map."`
	Map         []float32 `json:"map" doc:"A number for each patch, row by row: how much it speaks for the label. Of occlusion the logit that is lost without it; of other methods only the proportions mean something."`
	Precision   string    `json:"precision" doc:"Of the base's products: f32, bf16 or int8."`
	Notice      string    `json:"notice" doc:"What this program is not."`
}

// Region is a rectangle in the pixels of an image, which may reach beyond it.
type Region struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// Fit says whether an image is like those that an adapter was trained on.
type Fit struct {
	Unlike     bool    `json:"unlike" doc:"It is not: nothing is decided."`
	Score      float64 `json:"score" doc:"Distance from them: about 1 for one of their kind."`
	Percentile float64 `json:"percentile" doc:"Share of held-out images of their kind that are nearer, in percent."`
}

// Set are the labels that cannot be excluded: over images like those of an adapter's validation, such sets hold the truth for the
// share Coverage.
type Set struct {
	Coverage float64  `json:"coverage" doc:"Share of images whose truth such sets hold."`
	Labels   []string `json:"labels" doc:"Those that cannot be excluded, in the order of the adapter's."`
	Sure     []string `json:"sure" doc:"Those of them that are certain at this coverage."`
}

// Adapter is which adapter answered.
type Adapter struct {
	Name    string `json:"name"`
	Version string `json:"version" doc:"Beginning of the digest."`
	Digest  string `json:"digest" doc:"Of the adapter's file."`
	Base    string `json:"base,omitempty" doc:"Name of its base, where the server has several."`
}

// Timing is where the time of an answer went, in seconds.
type Timing struct {
	Load    float64 `json:"load_seconds" doc:"Reading the adapter; 0 if it was in memory."`
	Prepare float64 `json:"prepare_seconds" doc:"Making the input of the image."`
	Queue   float64 `json:"queue_seconds" doc:"Waiting for a batch."`
	Compute float64 `json:"compute_seconds" doc:"Of the whole batch."`
	Batch   int     `json:"batch" doc:"Images of the batch."`
}

// Failure is an image without an answer of an adapter.
type Failure struct {
	Image   int    `json:"image"`
	File    string `json:"file"`
	Adapter string `json:"adapter,omitempty" doc:"As it was asked for; absent if the image cannot be read."`
	Kind    string `json:"kind" doc:"invalid, too_large, not_found, refused, not_finite, overloaded, ..."`
	Error   string `json:"error"`
}

// AdapterList lists the available adapters.
type AdapterList struct {
	Base     Base         `json:"base" doc:"The model beside which they sit; of several the first."`
	Bases    []ServedBase `json:"bases,omitempty" doc:"All models, where there are several."`
	Adapters []Card       `json:"adapters" doc:"Versions, by name, the current one of a name first."`
	Next     string       `json:"next,omitempty" doc:"There are more: ask again with after set to this."`
	Notice   string       `json:"notice" doc:"What this program is not."`
}

// Base is the base of the adapters.
type Base struct {
	Name      string `json:"name"`
	Digest    string `json:"digest"`
	Side      int    `json:"side" doc:"Of the input, in pixels."`
	Precision string `json:"precision" doc:"Of its products: f32, bf16 or int8."`
}

// BaseOf returns the base of an adapter in the list.
func (l *AdapterList) BaseOf(c *Card) Base {
	for _, b := range l.Bases {
		if c.Base != "" && b.Name == c.Base {
			return Base{Name: b.Name, Digest: b.Digest, Side: b.Side, Precision: b.Precision}
		}
	}
	return l.Base
}

// ServedBase is one of several bases, and whether it is in memory.
type ServedBase struct {
	Name      string `json:"name"`
	Digest    string `json:"digest"`
	Side      int    `json:"side" doc:"Of the input, in pixels."`
	Precision string `json:"precision" doc:"Of its products: f32, bf16 or int8."`
	State     string `json:"state" enum:"READY,LOADING,UNAVAILABLE" doc:"A base that is ready and not in memory is loaded when it is asked for."`
	Reason    string `json:"reason,omitempty" doc:"Why it is not available."`
	Pinned    bool   `json:"pinned" doc:"It stays in memory."`
	Resident  int64  `json:"resident_bytes" doc:"Memory that it takes now, by estimate."`
	Bytes     int64  `json:"bytes" doc:"Memory that it takes when it is in it."`
	Adapters  int    `json:"adapters" doc:"Names whose current version belongs to it."`
}

// Card is one version of an adapter: its state, and the description in its file.
type Card struct {
	Name        string                `json:"name"`
	Version     string                `json:"version" doc:"Beginning of the digest; empty of a file that cannot be used."`
	Digest      string                `json:"digest" doc:"Of the adapter's file."`
	Base        string                `json:"base,omitempty" doc:"Name of its base, where the server has several."`
	Signers     []string              `json:"signers,omitempty" doc:"Who has signed it, of those whose signatures are trusted; absent where none are asked for."`
	State       string                `json:"state" enum:"READY,LOADING,UNLOADED,UNAVAILABLE"`
	Reason      string                `json:"reason,omitempty" doc:"Why it is not ready, or what is wrong with the file that should replace it."`
	Current     bool                  `json:"current" doc:"It is what requests without a version get."`
	Aliases     []string              `json:"aliases" doc:"Further names of the version."`
	Canary      float64               `json:"canary,omitempty" doc:"Share of the requests without a version that it gets instead of the current one."`
	Pinned      bool                  `json:"pinned" doc:"It stays in memory."`
	Resident    int64                 `json:"resident_bytes" doc:"Memory that it takes now."`
	Task        string                `json:"task,omitempty" enum:"binary,multiclass,multilabel"`
	Method      string                `json:"method,omitempty"`
	Labels      []adapterfile.Label   `json:"labels,omitempty"`
	Thresholds  []float64             `json:"thresholds,omitempty"`
	Temperature []float64             `json:"temperatures,omitempty"`
	Sets        bool                  `json:"sets,omitempty" doc:"It can say which labels cannot be excluded, at a coverage that is asked for."`
	Metrics     []adapterfile.Metric  `json:"metrics,omitempty" doc:"As measured by whoever trained it."`
	Training    *adapterfile.Training `json:"training,omitempty"`
	Licence     string                `json:"licence,omitempty"`
	IntendedUse string                `json:"intended_use,omitempty"`
}
