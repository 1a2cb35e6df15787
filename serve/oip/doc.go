// Package oip implements the Open Inference Protocol, version 2, independently of the transport: the tensors,
// requests and answers that serve/httpapi and serve/grpcapi have in common, their encodings, and the
// classification of errors. An adapter is a model; its digest or an alias is the version.
//
// Input is not trusted: shapes and lengths are compared with the available bytes before memory is allocated in
// proportion to them.
package oip
