// Package serve answers requests for many adapters with one base in memory: it has a registry of adapters that
// are published and withdrawn at run time, and computes batches that mix adapters freely.
//
// The digest of its file identifies an adapter. A name, or a name and a version, refers to a digest through a
// table that is replaced atomically. A request keeps the adapter that it started with until it is answered, and
// its answer identifies that adapter. An adapter that cannot be loaded, belongs to another base or fails its
// self-test is refused; the bare base never answers instead. See docs/adr/0011-serving-engine.md for the
// design, and docs/serving-results.md for measurements.
//
// The packages below are the endpoints (httpapi, grpcapi, and oip, which both use) and what an operator needs
// (access, audit, telemetry).
package serve
