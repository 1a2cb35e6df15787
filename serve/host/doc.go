// Package host runs an engine's endpoints as a server. It binds addresses, adds authentication, limits, the
// audit log, metrics, traces and logs to every route, limits connections, and shuts down without losing a
// request. See docs/adr/0013-operating-the-server.md.
package host
