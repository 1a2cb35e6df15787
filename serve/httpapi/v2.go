package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"unicode/utf8"

	"melo.example/melo/serve/oip"
)

// lengthHeader is the header with the length of the JSON object before binary tensors.
const lengthHeader = "Inference-Header-Content-Length"

// liveDocument is the answer to a liveness probe; the status says the same.
type liveDocument struct {
	Live bool `json:"live"`
}

type readyDocument struct {
	Name  string      `json:"name,omitempty" doc:"Of the adapter that was asked about."`
	Ready bool        `json:"ready"`
	Bases []readyBase `json:"bases,omitempty" doc:"Of a server of several: whether each is there."`
}

// readyBase is one of several bases.
type readyBase struct {
	Name     string `json:"name"`
	State    string `json:"state" enum:"READY,LOADING,UNAVAILABLE"`
	Resident bool   `json:"resident" doc:"It is in memory; else it is loaded when it is asked for."`
}

func live(a *api, w http.ResponseWriter, _ *http.Request) error {
	return a.writeJSON(w, probe(a.Service.Live()), liveDocument{a.Service.Live()})
}

func ready(a *api, w http.ResponseWriter, _ *http.Request) error {
	ok := a.Service.Ready()
	doc := readyDocument{Ready: ok}
	for _, b := range a.Service.Bases() {
		doc.Bases = append(doc.Bases, readyBase{Name: b.Name, State: b.State, Resident: b.Resident > 0})
	}
	return a.writeJSON(w, probe(ok), doc)
}

// probe returns the status of a probe.
func probe(ok bool) int {
	if ok {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

func serverMetadata(a *api, w http.ResponseWriter, _ *http.Request) error {
	return a.writeJSON(w, http.StatusOK, a.Service.ServerMetadata())
}

func modelMetadata(a *api, w http.ResponseWriter, r *http.Request) error {
	m, err := a.Service.ModelMetadata(r.Context(), r.PathValue("model"), r.PathValue("version"))
	if err != nil {
		return err
	}
	return a.writeJSON(w, http.StatusOK, m)
}

func modelConfig(a *api, w http.ResponseWriter, r *http.Request) error {
	c, err := a.Service.ModelConfig(r.Context(), r.PathValue("model"), r.PathValue("version"))
	if err != nil {
		return err
	}
	return a.writeJSON(w, http.StatusOK, c)
}

// modelReady answers for unknown adapters, too: they are not ready.
func modelReady(a *api, w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("model")
	ok, err := a.Service.ModelReady(r.Context(), name, r.PathValue("version"))
	if kind := oip.FaultOf(err).Kind; err != nil && kind != oip.NotFound && kind != oip.Refused {
		return err
	}
	return a.writeJSON(w, probe(ok && err == nil), readyDocument{Name: name, Ready: ok && err == nil})
}

// statisticsDocument is the answer of the statistics routes.
type statisticsDocument struct {
	Stats []oip.ModelStatistics `json:"model_stats"`
}

func modelStatistics(a *api, w http.ResponseWriter, r *http.Request) error {
	list, err := a.Service.Statistics(r.Context(), r.PathValue("model"), r.PathValue("version"))
	if err != nil {
		return err
	}
	return a.writeJSON(w, http.StatusOK, statisticsDocument{list})
}

// indexRequest is the body of an index request.
type indexRequest struct {
	Ready bool `json:"ready,omitempty" doc:"List only adapters that answer."`
}

func repositoryIndex(a *api, w http.ResponseWriter, r *http.Request) error {
	body, in, err := a.body(w, r)
	if err != nil {
		return err
	}
	defer in.Release()
	ready, err := a.Service.Codec().ParseIndex(body)
	if err != nil {
		return err
	}
	return a.writeJSON(w, http.StatusOK, a.Service.RepositoryIndex(r.Context(), ready))
}

// loadRequest is the body of a load request, for the OpenAPI document; oip reads it.
type loadRequest struct {
	Parameters adapterFiles `json:"parameters,omitempty" doc:"file:VERSION/NAME, an adapter file in base64 to publish; version 1 is the current one."`
}

// adapterFiles represents the parameters of a load request.
type adapterFiles struct{}

// unloadRequest is the body of an unload request.
type unloadRequest struct {
	Parameters unloadParameters `json:"parameters,omitempty"`
}

type unloadParameters struct {
	Dependents bool `json:"unload_dependents,omitempty" doc:"No adapter depends on another."`
}

func repositoryLoad(a *api, w http.ResponseWriter, r *http.Request) error {
	body, in, err := a.body(w, r)
	if err != nil {
		return err
	}
	defer in.Release()
	files, err := a.Service.Codec().ParseLoad(body)
	if err != nil {
		return err
	}
	ctx, cancel := a.deadline(r)
	defer cancel()
	if err := a.Service.Load(ctx, r.PathValue("model"), files); err != nil {
		return err
	}
	write(w, http.StatusOK, "application/json", []byte("{}"), a.Write)
	return nil
}

func repositoryUnload(a *api, w http.ResponseWriter, r *http.Request) error {
	body, in, err := a.body(w, r)
	if err != nil {
		return err
	}
	defer in.Release()
	if err := a.Service.Codec().ParseUnload(body); err != nil {
		return err
	}
	if err := a.Service.Unload(r.Context(), r.PathValue("model")); err != nil {
		return err
	}
	write(w, http.StatusOK, "application/json", []byte("{}"), a.Write)
	return nil
}

func modelInfer(a *api, w http.ResponseWriter, r *http.Request) error {
	header := int64(-1)
	if v := r.Header.Get(lengthHeader); v != "" {
		var err error
		if header, err = strconv.ParseInt(v, 10, 64); err != nil || header < 0 {
			return oip.NewFault(oip.Invalid, lengthHeader+" is not a length")
		}
	}
	body, in, err := a.body(w, r)
	if err != nil {
		return err
	}
	defer in.Release()
	request, err := a.Service.Codec().ParseJSON(body, header)
	if err != nil {
		return err
	}
	in.Keep(int64(len(body)) + request.Bytes())
	request.Model, request.Version = r.PathValue("model"), r.PathValue("version")
	ctx, cancel := a.deadline(r)
	defer cancel()
	response, err := a.Service.Infer(ctx, request)
	if err != nil {
		return err
	}
	return a.writeInfer(w, response)
}

// inferRequest is the JSON object of an inference request, for the OpenAPI document; oip reads it.
type inferRequest struct {
	ID         string         `json:"id,omitempty" doc:"Of the request, echoed."`
	Parameters map[string]any `json:"parameters,omitempty" doc:"timeout: microseconds; binary_data_output: outputs in binary form; explain_method, explain_label, explain_against, explain_window, explain_stride: how the output map is made; coverage: number above 0 and below 1, the parameter sets of the answer then says which labels cannot be excluded."`
	Inputs     []inferTensor  `json:"inputs" schema:"minItems=1,maxItems=1" doc:"One: pixel_values, FP32 [n,3,side,side], or image, BYTES [n], encoded images."`
	Outputs    []inferWanted  `json:"outputs,omitempty" doc:"None: all of logits, probabilities and label. map and region are given where they are named."`
}

// inferTensor is a tensor in JSON.
type inferTensor struct {
	Name       string         `json:"name"`
	Datatype   string         `json:"datatype" enum:"FP32,FP16,BF16,BYTES"`
	Shape      []int64        `json:"shape" schema:"minItems=1,maxItems=8,items.minimum=1"`
	Parameters map[string]any `json:"parameters,omitempty" doc:"binary_data_size: length of the tensor in binary form, after the JSON object."`
	Data       any            `json:"data,omitempty" doc:"Numbers, or strings (of an input image: base64), in row-major order."`
}

// inferWanted is a requested output.
type inferWanted struct {
	Name       string         `json:"name" enum:"logits,probabilities,label,map,region"`
	Parameters map[string]any `json:"parameters,omitempty" doc:"binary_data: in binary form; classification: the best so many classes, as value:index:label."`
}

// inferResponse is the JSON object of an answer.
type inferResponse struct {
	Model      string            `json:"model_name"`
	Version    string            `json:"model_version" doc:"Beginning of the digest."`
	ID         string            `json:"id,omitempty"`
	Parameters map[string]string `json:"parameters" doc:"adapter, digest and precision: what answered; fit: JSON with unlike, score and percentile of each row, where the adapter knows; sets: JSON with coverage, labels that cannot be excluded and those that are sure, of each row, where a coverage is asked for; remarks: JSON with what was chosen about each row's image, where its file leaves a choice; explain_method, and explained: JSON with label, against and probability of each row, where a map is asked for."`
	Outputs    []inferTensor     `json:"outputs"`
}

// writeInfer answers with tensors, in binary form if the client wants it.
func (a *api) writeInfer(w http.ResponseWriter, r *oip.InferResponse) error {
	doc := inferResponse{Model: r.Name, Version: r.Version, ID: r.ID, Outputs: []inferTensor{}, Parameters: r.Parameters()}
	var raw []byte
	for i := range r.Outputs {
		o := &r.Outputs[i]
		t := inferTensor{Name: o.Name, Datatype: o.Datatype, Shape: o.Shape}
		switch {
		case o.Binary:
			before := len(raw)
			raw = o.AppendRaw(raw)
			t.Parameters = map[string]any{"binary_data_size": len(raw) - before}
		case o.Datatype == oip.FP32:
			t.Data = o.Floats
		default:
			t.Data = texts(o.Bytes)
		}
		doc.Outputs = append(doc.Outputs, t)
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	media := "application/json"
	if raw != nil {
		w.Header().Set(lengthHeader, strconv.Itoa(len(body)))
		media, body = "application/octet-stream", append(body, raw...)
	}
	write(w, http.StatusOK, media, body, a.Write)
	return nil
}

// texts returns labels as JSON strings; one that is not valid text becomes base64.
func texts(list [][]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		if out[i] = string(b); !utf8.Valid(b) {
			out[i] = base64.StdEncoding.EncodeToString(b)
		}
	}
	return out
}
