package grpcapi

import (
	"context"

	"melo.example/melo/serve/oip"
	pb "melo.example/melo/serve/openinference"
)

// Parts of the protocol that exist for Triton and are not supported.
var (
	noSharedMemory = oip.NewFault(oip.Unsupported, "melo shares no memory with clients: send tensors in the request")
	noSettings     = oip.NewFault(oip.Unsupported, "traces and logs of melo are set when it starts")
)

// SystemSharedMemoryStatus is not supported.
func (a *api) SystemSharedMemoryStatus(context.Context, *pb.SystemSharedMemoryStatusRequest) (*pb.SystemSharedMemoryStatusResponse, error) {
	return nil, noSharedMemory
}

// SystemSharedMemoryRegister is not supported.
func (a *api) SystemSharedMemoryRegister(context.Context, *pb.SystemSharedMemoryRegisterRequest) (*pb.SystemSharedMemoryRegisterResponse, error) {
	return nil, noSharedMemory
}

// SystemSharedMemoryUnregister is not supported.
func (a *api) SystemSharedMemoryUnregister(context.Context, *pb.SystemSharedMemoryUnregisterRequest) (*pb.SystemSharedMemoryUnregisterResponse, error) {
	return nil, noSharedMemory
}

// CudaSharedMemoryStatus is not supported.
func (a *api) CudaSharedMemoryStatus(context.Context, *pb.CudaSharedMemoryStatusRequest) (*pb.CudaSharedMemoryStatusResponse, error) {
	return nil, noSharedMemory
}

// CudaSharedMemoryRegister is not supported.
func (a *api) CudaSharedMemoryRegister(context.Context, *pb.CudaSharedMemoryRegisterRequest) (*pb.CudaSharedMemoryRegisterResponse, error) {
	return nil, noSharedMemory
}

// CudaSharedMemoryUnregister is not supported.
func (a *api) CudaSharedMemoryUnregister(context.Context, *pb.CudaSharedMemoryUnregisterRequest) (*pb.CudaSharedMemoryUnregisterResponse, error) {
	return nil, noSharedMemory
}

// TraceSetting is not supported.
func (a *api) TraceSetting(context.Context, *pb.TraceSettingRequest) (*pb.TraceSettingResponse, error) {
	return nil, noSettings
}

// LogSettings is not supported.
func (a *api) LogSettings(context.Context, *pb.LogSettingsRequest) (*pb.LogSettingsResponse, error) {
	return nil, noSettings
}
