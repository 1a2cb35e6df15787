// Package httpapi is the REST endpoint of the server: the Open Inference Protocol with Triton's extensions
// under /v2, and under /v1 a simpler interface for people, who send images as a form and name adapters. GET
// /openapi.json describes all of it.
//
// The package checks sizes and deadlines. Authorisation, audit and metrics are added by middleware, which
// receives each Route with the role that it requires.
package httpapi
