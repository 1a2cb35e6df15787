// Package grpcapi is the gRPC endpoint of the server: the service of serve/openinference, the standard health
// service and reflection, over the HTTP/2 of net/http. No part of a message is read before Options.Enter has
// admitted its client. Roles gives the role that each method requires.
package grpcapi
