// Package serve answers requests for many adapters from one resident base: a registry of adapters that
// are published and withdrawn while it runs, and batches that mix them freely.
//
// An adapter is identified by the digest of its file. A name, or a name and a version, points to a digest
// through a table that is swapped as a whole; a request keeps the adapter that it started with until it is
// answered, and its answer says which one that was. An adapter that cannot be loaded, belongs to another base or
// fails its self-test is refused: the bare base never answers in its place. docs/adr/0011-serving-engine.md has
// the decisions, docs/serving.md the measurements.
//
// The packages below are the endpoints (httpapi, grpcapi, and oip, which they share) and what an operator needs
// (access, audit, telemetry).
package serve
