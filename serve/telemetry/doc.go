// Package telemetry provides metrics for Prometheus, traces with OpenTelemetry, and structured logs. None of
// them contains pixels, answers or clients' file names, but only adapters, routes, kinds of errors and times.
// docs/serving.md lists the names.
package telemetry
