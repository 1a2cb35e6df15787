// Package httpapi is the REST endpoint of the server: the Open Inference Protocol with Triton's extensions under /v2, and
// under /v1 a simpler endpoint for people, who send images as a form and name adapters. GET /openapi.json describes it all.
//
// The package checks sizes and deadlines. Who may do what, audits and metrics are middleware, which gets the Route
// with the role that it needs.
package httpapi
