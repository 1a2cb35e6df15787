package httpapi

import (
	"net/http"
	"slices"

	"melo.example/melo/serve/oip"
)

// Route is one route of the endpoint.
type Route struct {
	Name    string // such as "ModelInfer", for metrics and audit
	Method  string
	Path    string // net/http pattern, such as "/v2/models/{model}/infer"
	Role    oip.Role
	Summary string

	handle   func(a *api, w http.ResponseWriter, r *http.Request) error
	request  any    // a value of the type of the body, for the OpenAPI document; nil if there is none
	response any    // likewise of the answer
	media    string // of the body, if it is not JSON
	produces string // media type of the answer, if it is not JSON
	query    []string
	also     []int // other statuses with the same answer
}

// Pattern returns the route's pattern for http.ServeMux.
func (r Route) Pattern() string {
	if r.Path == "/" {
		return r.Method + " /{$}"
	}
	return r.Method + " " + r.Path
}

const (
	get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	oneModel            = "/v2/models/{model}"
	oneVersion          = oneModel + "/versions/{version}"
	oneAdapter          = "/v1/adapters/{adapter}"
)

// probeStatus is the status of a negative probe.
var probeStatus = []int{http.StatusServiceUnavailable}

// routes lists all routes. Those of a model exist with and without a version.
var routes = slices.Concat(
	[]Route{
		{Name: "Live", Method: get, Path: "/livez", Summary: "Whether the process runs.", handle: live, response: liveDocument{}, also: probeStatus},
		{Name: "Ready", Method: get, Path: "/readyz", Summary: "Whether the server takes requests.", handle: ready, response: readyDocument{}, also: probeStatus},
		{Name: "ServerLive", Method: get, Path: "/v2/health/live", Summary: "Whether the process runs.", handle: live, response: liveDocument{}, also: probeStatus},
		{Name: "ServerReady", Method: get, Path: "/v2/health/ready", Summary: "Whether the server takes requests.", handle: ready, response: readyDocument{}, also: probeStatus},
		{Name: "ServerMetadata", Method: get, Path: "/v2", Role: oip.Viewer, Summary: "Name, version and extensions of the server.",
			handle: serverMetadata, response: oip.ServerMetadata{}},
		{Name: "ServerStatistics", Method: get, Path: "/v2/models/stats", Role: oip.Viewer, Summary: "Counts of all adapters.",
			handle: modelStatistics, response: statisticsDocument{}},
		{Name: "RepositoryIndex", Method: post, Path: "/v2/repository/index", Role: oip.Viewer, Summary: "Every version of every adapter, and its state.",
			handle: repositoryIndex, request: indexRequest{}, response: []oip.Index{}},
		{Name: "RepositoryModelLoad", Method: post, Path: "/v2/repository/models/{model}/load", Role: oip.Operator,
			Summary: "Publishes an adapter file, or loads one again.", handle: repositoryLoad, request: loadRequest{}},
		{Name: "RepositoryModelUnload", Method: post, Path: "/v2/repository/models/{model}/unload", Role: oip.Operator,
			Summary: "Withdraws an adapter until it is loaded again.", handle: repositoryUnload, request: unloadRequest{}},
	},
	ofModel(Route{Name: "ModelMetadata", Method: get, Role: oip.Viewer, Summary: "Inputs and outputs of an adapter.",
		handle: modelMetadata, response: oip.ModelMetadata{}}),
	ofModel(Route{Name: "ModelReady", Method: get, Path: "/ready", Role: oip.Viewer, Summary: "Whether an adapter answers.", handle: modelReady, response: readyDocument{}, also: probeStatus}),
	ofModel(Route{Name: "ModelConfig", Method: get, Path: "/config", Role: oip.Viewer, Summary: "An adapter as a Triton model configuration.",
		handle: modelConfig, response: oip.ModelConfig{}}),
	ofModel(Route{Name: "ModelStatistics", Method: get, Path: "/stats", Role: oip.Viewer, Summary: "Counts of an adapter.",
		handle: modelStatistics, response: statisticsDocument{}}),
	ofModel(Route{Name: "ModelInfer", Method: post, Path: "/infer", Role: oip.Viewer,
		Summary: "Asks one adapter about prepared tensors or encoded images.", handle: modelInfer, request: inferRequest{}, response: inferResponse{}}),
	[]Route{
		{Name: "Predict", Method: post, Path: "/v1/predict", Role: oip.Viewer, Summary: "Asks one or more adapters about one or more images.",
			handle: predict, request: predictForm{}, media: "multipart/form-data", response: Prediction{}},
		{Name: "Explain", Method: post, Path: "/v1/explain", Role: oip.Viewer, Summary: "Asks one adapter about one image, and where the answer comes from.",
			handle: explainImage, request: explainForm{}, media: "multipart/form-data", response: Explanation{}},
		{Name: "Preview", Method: post, Path: "/v1/preview", Role: oip.Viewer,
			Summary: "The samples of an image that browsers cannot show: a JSON object (its length is in " + lengthHeader + "), then the samples, row by row, of 16 bits with the lower byte first.",
			handle:  preview, request: previewForm{}, media: "multipart/form-data", response: file{}, produces: "application/octet-stream"},
		{Name: "Adapters", Method: get, Path: "/v1/adapters", Role: oip.Viewer, Summary: "The adapters and what their files say of them.",
			handle: listAdapters, response: AdapterList{}, query: []string{"limit", "after"}},
		{Name: "Adapter", Method: get, Path: oneAdapter, Role: oip.Viewer, Summary: "The versions of one adapter.",
			handle: oneAdapterCard, response: AdapterList{}},
		{Name: "Pin", Method: put, Path: oneAdapter + "/pin", Role: oip.Operator, Summary: "Keeps an adapter in memory.", handle: pin},
		{Name: "Unpin", Method: del, Path: oneAdapter + "/pin", Role: oip.Operator, Summary: "Lets an adapter leave memory again.", handle: pin},
		{Name: "SetAlias", Method: put, Path: oneAdapter + "/aliases/{alias}", Role: oip.Operator,
			Summary: "Gives a version a name. The alias current is what requests without a version get.", handle: setAlias, request: aliasRequest{}},
		{Name: "RemoveAlias", Method: del, Path: oneAdapter + "/aliases/{alias}", Role: oip.Operator, Summary: "Takes the name away.", handle: removeAlias},
		{Name: "SetCanary", Method: put, Path: oneAdapter + "/canary", Role: oip.Operator,
			Summary: "Gives another version a share of the requests.", handle: setCanary, request: canaryRequest{}},
		{Name: "RemoveCanary", Method: del, Path: oneAdapter + "/canary", Role: oip.Operator, Summary: "Ends that.", handle: removeCanary},
		{Name: "OpenAPI", Method: get, Path: "/openapi.json", Summary: "This document.", handle: openAPI, response: map[string]any{}},
		{Name: "Page", Method: get, Path: "/", Summary: "A page for people.", handle: asset},
		{Name: "PagePart", Method: get, Path: "/page/{part}", Summary: "A script or the style of the page.", handle: asset},
	},
)

// ofModel returns the routes of a model for the current version and for a given one.
func ofModel(r Route) []Route {
	versioned := r
	r.Path, versioned.Path = oneModel+r.Path, oneVersion+r.Path
	versioned.Name += "Version"
	return []Route{r, versioned}
}

// Routes returns all routes of the endpoint, for middleware and documents.
func Routes() []Route { return slices.Clone(routes) }
