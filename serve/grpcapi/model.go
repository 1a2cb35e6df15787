package grpcapi

import (
	"context"
	"strings"

	"melo.example/melo/serve/oip"
	pb "melo.example/melo/serve/openinference"
)

// ServerLive reports whether the process works.
func (a *api) ServerLive(context.Context, *pb.ServerLiveRequest) (*pb.ServerLiveResponse, error) {
	return &pb.ServerLiveResponse{Live: a.Service.Live()}, nil
}

// ServerReady reports whether the server accepts requests.
func (a *api) ServerReady(context.Context, *pb.ServerReadyRequest) (*pb.ServerReadyResponse, error) {
	return &pb.ServerReadyResponse{Ready: a.Service.Ready()}, nil
}

// ModelReady reports whether an adapter is available.
func (a *api) ModelReady(ctx context.Context, r *pb.ModelReadyRequest) (*pb.ModelReadyResponse, error) {
	ok, err := a.Service.ModelReady(ctx, r.Name, r.Version)
	if kind := oip.FaultOf(err).Kind; err != nil && kind != oip.NotFound && kind != oip.Refused {
		return nil, err
	}
	return &pb.ModelReadyResponse{Ready: ok && err == nil}, nil
}

// ServerMetadata describes the server.
func (a *api) ServerMetadata(context.Context, *pb.ServerMetadataRequest) (*pb.ServerMetadataResponse, error) {
	m := a.Service.ServerMetadata()
	return &pb.ServerMetadataResponse{Name: m.Name, Version: m.Version, Extensions: m.Extensions}, nil
}

// ModelMetadata describes the inputs and outputs of an adapter.
func (a *api) ModelMetadata(ctx context.Context, r *pb.ModelMetadataRequest) (*pb.ModelMetadataResponse, error) {
	m, err := a.Service.ModelMetadata(ctx, r.Name, r.Version)
	if err != nil {
		return nil, err
	}
	p := &pb.ModelMetadataResponse{Name: m.Name, Versions: m.Versions, Platform: m.Platform}
	for _, t := range m.Inputs {
		p.Inputs = append(p.Inputs, &pb.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape})
	}
	for _, t := range m.Outputs {
		p.Outputs = append(p.Outputs, &pb.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape})
	}
	return p, nil
}

// ModelConfig describes an adapter in Triton's format.
func (a *api) ModelConfig(ctx context.Context, r *pb.ModelConfigRequest) (*pb.ModelConfigResponse, error) {
	c, err := a.Service.ModelConfig(ctx, r.Name, r.Version)
	if err != nil {
		return nil, err
	}
	p := &pb.ModelConfig{Name: c.Name, Platform: c.Platform, Backend: c.Backend, MaxBatchSize: c.MaxBatchSize,
		DynamicBatching: &pb.ModelDynamicBatching{}, Parameters: map[string]*pb.ModelParameter{},
		ModelTransactionPolicy: &pb.ModelTransactionPolicy{}}
	for _, t := range c.Input {
		p.Input = append(p.Input, &pb.ModelInput{Name: t.Name, DataType: pb.DataType(pb.DataType_value[t.DataType]),
			Format: pb.ModelInput_Format(pb.ModelInput_Format_value[t.Format]), Dims: t.Dims, Optional: t.Optional})
	}
	for _, t := range c.Output {
		p.Output = append(p.Output, &pb.ModelOutput{Name: t.Name, DataType: pb.DataType(pb.DataType_value[t.DataType]), Dims: t.Dims})
	}
	for k, v := range c.Parameters {
		p.Parameters[k] = &pb.ModelParameter{StringValue: v.Value}
	}
	return &pb.ModelConfigResponse{Config: p}, nil
}

// ModelStatistics returns the counters of one or all adapters.
func (a *api) ModelStatistics(ctx context.Context, r *pb.ModelStatisticsRequest) (*pb.ModelStatisticsResponse, error) {
	list, err := a.Service.Statistics(ctx, r.Name, r.Version)
	if err != nil {
		return nil, err
	}
	p := &pb.ModelStatisticsResponse{}
	for i := range list {
		p.ModelStats = append(p.ModelStats, statistics(&list[i]))
	}
	return p, nil
}

func statistics(m *oip.ModelStatistics) *pb.ModelStatistics {
	d := func(d oip.Duration) *pb.StatisticDuration { return &pb.StatisticDuration{Count: d.Count, Ns: d.Ns} }
	s := &m.InferStats
	p := &pb.ModelStatistics{Name: m.Name, Version: m.Version, LastInference: m.LastInference, InferenceCount: m.InferenceCount,
		ExecutionCount: m.ExecutionCount, InferenceStats: &pb.InferStatistics{Success: d(s.Success), Fail: d(s.Fail), Queue: d(s.Queue),
			ComputeInput: d(s.ComputeInput), ComputeInfer: d(s.ComputeInfer), ComputeOutput: d(s.ComputeOutput),
			CacheHit: d(s.CacheHit), CacheMiss: d(s.CacheMiss)}}
	for _, u := range m.MemoryUsage {
		p.MemoryUsage = append(p.MemoryUsage, &pb.MemoryUsage{Type: u.Type, Id: u.ID, ByteSize: u.Bytes})
	}
	return p
}

// RepositoryIndex lists every version of every adapter.
func (a *api) RepositoryIndex(ctx context.Context, r *pb.RepositoryIndexRequest) (*pb.RepositoryIndexResponse, error) {
	p := &pb.RepositoryIndexResponse{}
	for _, x := range a.Service.RepositoryIndex(ctx, r.Ready) {
		p.Models = append(p.Models, &pb.RepositoryIndexResponse_ModelIndex{Name: x.Name, Version: x.Version, State: x.State, Reason: x.Reason})
	}
	return p, nil
}

// RepositoryModelLoad publishes an uploaded adapter file, or loads an adapter again.
func (a *api) RepositoryModelLoad(ctx context.Context, r *pb.RepositoryModelLoadRequest) (*pb.RepositoryModelLoadResponse, error) {
	files := map[string][]byte{}
	for key, p := range r.Parameters {
		switch {
		case strings.HasPrefix(key, "file:"):
			data, ok := p.GetParameterChoice().(*pb.ModelRepositoryParameter_BytesParam)
			if !ok {
				return nil, oip.Faultf(oip.Invalid, "parameter %.64q: expected bytes", key)
			}
			files[key] = data.BytesParam
		case key != "config":
			return nil, oip.Faultf(oip.Invalid, "parameter %.64q: expected config or file:VERSION/NAME", key)
		}
	}
	if err := a.Service.Load(ctx, r.ModelName, files); err != nil {
		return nil, err
	}
	return &pb.RepositoryModelLoadResponse{}, nil
}

// RepositoryModelUnload withdraws an adapter until it is loaded again.
func (a *api) RepositoryModelUnload(ctx context.Context, r *pb.RepositoryModelUnloadRequest) (*pb.RepositoryModelUnloadResponse, error) {
	for key := range r.Parameters {
		if key != "unload_dependents" {
			return nil, oip.Faultf(oip.Invalid, "parameter %.64q: expected unload_dependents", key)
		}
	}
	if err := a.Service.Unload(ctx, r.ModelName); err != nil {
		return nil, err
	}
	return &pb.RepositoryModelUnloadResponse{}, nil
}
