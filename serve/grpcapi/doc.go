// Package grpcapi is the gRPC door of the server: the service of serve/openinference, and the standard health service.
// Sizes and identities of requests are seen to here; who may do what, audits and metrics are interceptors, which find
// the role of a method in Roles.
package grpcapi
