package oip

import (
	"context"
	"time"

	"melo.example/melo/serve"
)

// Duration is the number of events of a kind and their total duration.
type Duration struct {
	Count uint64 `json:"count"`
	Ns    uint64 `json:"ns"`
}

// InferStatistics holds the durations of requests. Those of a response cache, which melo does not have, are
// zero.
type InferStatistics struct {
	Success       Duration `json:"success"`
	Fail          Duration `json:"fail"`
	Queue         Duration `json:"queue"`
	ComputeInput  Duration `json:"compute_input"`
	ComputeInfer  Duration `json:"compute_infer"`
	ComputeOutput Duration `json:"compute_output"`
	CacheHit      Duration `json:"cache_hit"`
	CacheMiss     Duration `json:"cache_miss"`
}

// MemoryUsage is the memory of a model.
type MemoryUsage struct {
	Type  string `json:"type"`
	ID    int64  `json:"id"`
	Bytes uint64 `json:"byte_size"`
}

// ModelStatistics holds the counters of one version of an adapter.
type ModelStatistics struct {
	Name           string              `json:"name"`
	Version        string              `json:"version"`
	LastInference  uint64              `json:"last_inference"` // milliseconds since 1970
	InferenceCount uint64              `json:"inference_count"`
	ExecutionCount uint64              `json:"execution_count"`
	InferStats     InferStatistics     `json:"inference_stats"`
	BatchStats     []struct{}          `json:"batch_stats"` // empty, because batches mix adapters
	MemoryUsage    []MemoryUsage       `json:"memory_usage"`
	ResponseStats  map[string]struct{} `json:"response_stats"` // empty; it is for models with several responses
}

// Statistics returns the counters of a version, of all versions of a name, or of all adapters.
func (s *Service) Statistics(ctx context.Context, name, version string) ([]ModelStatistics, error) {
	view, digest := s.view(ctx), ""
	if name != "" {
		status, err := view.describe(name, version)
		if err != nil {
			return nil, err
		}
		name = status.Name
		if version != "" {
			digest = status.Digest
		}
	}
	resident := map[serve.Identity]int64{}
	for _, status := range view.list() {
		resident[status.Identity] = status.Resident
	}
	list := []ModelStatistics{}
	for _, v := range view.stats() {
		if name != "" && v.Name != name || digest != "" && v.Digest != digest {
			continue
		}
		m := ModelStatistics{Name: v.Name, Version: v.Version, LastInference: milliseconds(v.Last), InferenceCount: v.Success.Count,
			ExecutionCount: v.Executions, BatchStats: []struct{}{}, MemoryUsage: []MemoryUsage{}, ResponseStats: map[string]struct{}{},
			InferStats: InferStatistics{Success: duration(v.Success), Fail: duration(v.Fail), Queue: duration(v.Queue),
				ComputeInput: duration(v.Prepare), ComputeInfer: duration(v.Compute),
				ComputeOutput: Duration{Count: v.Success.Count}}}
		if bytes := resident[v.Identity]; bytes > 0 {
			m.MemoryUsage = append(m.MemoryUsage, MemoryUsage{Type: "CPU", Bytes: uint64(bytes)})
		}
		list = append(list, m)
	}
	return list, nil
}

func duration(t serve.Total) Duration {
	return Duration{Count: t.Count, Ns: uint64(max(t.Time, 0) / time.Nanosecond)}
}
