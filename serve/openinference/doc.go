// Package openinference is the generated Go code of inference.proto: the messages and the gRPC service of the Open
// Inference Protocol, with Triton's extensions. tools/protogen writes it.
package openinference
