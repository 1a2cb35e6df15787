// Package telemetry tells operators how a server does: metrics for Prometheus, traces by OpenTelemetry, and structured
// logs. None of them holds pixels, answers or what clients call their files: adapters, routes, kinds of errors and
// times only. docs/serving.md lists the names.
package telemetry
