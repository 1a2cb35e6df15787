// Package oip is the Open Inference Protocol, version 2, without a transport: the tensors, requests and answers that
// serve/httpapi and serve/grpcapi have in common, the wire's encodings of them, and what errors mean to a client. An
// adapter is a model, its digest or an alias the version.
//
// Everything parsed here comes from outside: shapes and lengths are claims, compared with the bytes that are there
// before anything of that size is allocated.
package oip
