// Package grpcapi is the gRPC endpoint of the server: the service of serve/openinference, the standard health service and
// reflection, over net/http's HTTP/2. Nothing of a message is read before Options.Enter has let its client in. Roles says
// who may call what.
package grpcapi
