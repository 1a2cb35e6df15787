package oip

import (
	"context"
	"slices"

	"melo.example/melo/serve"
)

// ServerMetadata describes the server.
type ServerMetadata struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}

// Extensions lists the supported parts of Triton's protocol beyond the Open Inference Protocol.
var Extensions = []string{"binary_tensor_data", "classification", "model_configuration", "model_repository", "parameters", "statistics"}

// TensorMetadata describes an input or an output. A dimension of -1 is variable.
type TensorMetadata struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

// ModelMetadata describes an adapter as a model.
type ModelMetadata struct {
	Name       string            `json:"name"`
	Versions   []string          `json:"versions"` // short digests and aliases, the current one first
	Platform   string            `json:"platform"`
	Inputs     []TensorMetadata  `json:"inputs"`
	Outputs    []TensorMetadata  `json:"outputs"`
	Parameters map[string]string `json:"parameters"` // digest, task, ...; not in the gRPC message
	Labels     []string          `json:"labels"`     // not in the gRPC message
}

// ModelConfig is the part of Triton's model configuration that applies here.
type ModelConfig struct {
	Name         string                  `json:"name"`
	Platform     string                  `json:"platform"`
	Backend      string                  `json:"backend"`
	MaxBatchSize int32                   `json:"max_batch_size"`
	Input        []ConfigTensor          `json:"input"`
	Output       []ConfigTensor          `json:"output"`
	Batching     struct{}                `json:"dynamic_batching"`
	Parameters   map[string]ConfigString `json:"parameters"`
	Transaction  ModelTransactionPolicy  `json:"model_transaction_policy"`
}

// ConfigTensor is an input or an output of a ModelConfig, with dimensions without the batch.
type ConfigTensor struct {
	Name     string  `json:"name"`
	DataType string  `json:"data_type"`
	Format   string  `json:"format,omitempty"`
	Dims     []int64 `json:"dims"`
	Optional bool    `json:"optional,omitempty"`
}

// ConfigString is a parameter of a ModelConfig.
type ConfigString struct {
	Value string `json:"string_value"`
}

// ModelTransactionPolicy says that each request has one answer.
type ModelTransactionPolicy struct {
	Decoupled bool `json:"decoupled"`
}

// ServerMetadata describes the server.
func (s *Service) ServerMetadata() ServerMetadata {
	return ServerMetadata{Name: "melo", Version: s.options.Version, Extensions: slices.Clone(Extensions)}
}

// ModelReady reports whether a version is available. It returns an error if the adapter does not exist.
func (s *Service) ModelReady(ctx context.Context, name, version string) (bool, error) {
	status, err := s.view(ctx).describe(name, version)
	if err != nil {
		return false, err
	}
	return s.engine.Ready() && (status.State == serve.Ready || status.State == serve.Loading), nil
}

// describe returns the status of a version that has a card.
func (s *Service) describe(ctx context.Context, name, version string) (serve.Status, error) {
	status, err := s.view(ctx).describe(name, version)
	switch {
	case err != nil:
		return status, err
	case status.Card == nil:
		return status, NewFault(Refused, withoutFolder(status.Reason, status.Path))
	}
	return status, nil
}

// ModelMetadata describes a version of an adapter.
func (s *Service) ModelMetadata(ctx context.Context, name, version string) (ModelMetadata, error) {
	status, err := s.describe(ctx, name, version)
	if err != nil {
		return ModelMetadata{}, err
	}
	side, labels := int64(s.sideOf(status.Name, status.Digest)), int64(len(status.Card.Labels))
	m := ModelMetadata{Name: status.Name, Versions: []string{}, Platform: Platform, Labels: status.Card.LabelNames(),
		Inputs: []TensorMetadata{
			{InputPixels, FP32, []int64{-1, 3, side, side}},
			{InputImage, BYTES, []int64{-1}},
		},
		Outputs: []TensorMetadata{
			{OutputLogits, FP32, []int64{-1, labels}},
			{OutputProbabilities, FP32, []int64{-1, labels}},
			{OutputLabel, BYTES, []int64{-1}},
		},
		Parameters: s.parameters(&status)}
	for _, v := range s.view(ctx).versions(status.Name) {
		if v.Digest != "" {
			m.Versions = append(append(m.Versions, v.Version), v.Aliases...)
		}
	}
	return m, nil
}

// parameters returns properties of a version for clients, as strings.
func (s *Service) parameters(status *serve.Status) map[string]string {
	p := map[string]string{"adapter": status.Name, "digest": status.Digest, "task": string(status.Card.Task), "notice": Notice,
		"precision": s.PrecisionOf(status.Identity)}
	name, digest := s.options.Base, s.options.Digest
	if b := status.Base; b != nil {
		name, digest = b.Name, b.Digest
	}
	if name != "" {
		p["base"] = name
	}
	if digest != "" {
		p["base_digest"] = digest
	}
	return p
}

// Notice is shown with every answer.
const Notice = "research software, not a medical device"

// ModelConfig describes a version of an adapter in Triton's format.
func (s *Service) ModelConfig(ctx context.Context, name, version string) (ModelConfig, error) {
	status, err := s.describe(ctx, name, version)
	if err != nil {
		return ModelConfig{}, err
	}
	side, labels := int64(s.sideOf(status.Name, status.Digest)), int64(len(status.Card.Labels))
	c := ModelConfig{Name: status.Name, Platform: Platform, Backend: Platform, MaxBatchSize: int32(s.limits.Rows),
		Input: []ConfigTensor{
			{Name: InputPixels, DataType: "TYPE_FP32", Format: "FORMAT_NCHW", Dims: []int64{3, side, side}, Optional: true},
			{Name: InputImage, DataType: "TYPE_STRING", Format: "FORMAT_NONE", Dims: []int64{1}, Optional: true},
		},
		Output: []ConfigTensor{
			{Name: OutputLogits, DataType: "TYPE_FP32", Dims: []int64{labels}},
			{Name: OutputProbabilities, DataType: "TYPE_FP32", Dims: []int64{labels}},
			{Name: OutputLabel, DataType: "TYPE_STRING", Dims: []int64{1}},
		},
		Parameters: map[string]ConfigString{}}
	for k, v := range s.parameters(&status) {
		c.Parameters[k] = ConfigString{v}
	}
	return c, nil
}

// Index is a line of the repository's index.
type Index struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	State   string `json:"state"`
	Reason  string `json:"reason"`
}

// RepositoryIndex lists every version of every adapter, or only available ones.
func (s *Service) RepositoryIndex(ctx context.Context, ready bool) []Index {
	list := []Index{}
	for _, status := range s.view(ctx).list() {
		if !ready || status.State == serve.Ready {
			list = append(list, Index{status.Name, status.Version, string(status.State), Clean(withoutFolder(status.Reason, status.Path))})
		}
	}
	return list
}

// Load makes an adapter available (again). files are uploaded files, by Triton's names for them, "file:1/NAME":
// at most one adapter, and its signature file "file:1/NAME.sig". Version 1 is the current one; another name
// becomes that version.
func (s *Service) Load(ctx context.Context, name string, files map[string][]byte) error {
	registry, err := s.view(ctx).operated(name)
	if err != nil {
		return err
	}
	f, err := sentFiles(files)
	switch {
	case err != nil:
		return err
	case f.adapter == nil:
		return registry.Load(ctx, name)
	case int64(len(f.adapter)) > s.limits.Adapter:
		return Faultf(TooLarge, "adapter file of %d bytes, the limit is %d", len(f.adapter), s.limits.Adapter)
	}
	if f.version != "" {
		name += "@" + f.version
	}
	return registry.LoadBytes(ctx, name, f.adapter, f.signatures)
}

// Unload withdraws an adapter until it is loaded again.
func (s *Service) Unload(ctx context.Context, name string) error {
	r, err := s.view(ctx).operated(name)
	if err != nil {
		return err
	}
	return r.Unload(name)
}
