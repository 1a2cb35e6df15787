// Package host runs an engine's endpoints as a server: it binds addresses, puts the guard, the limits, the audit log,
// metrics, traces and logs around every route, keeps connections within bounds, and stops without losing a request.
// docs/adr/0013-operating-the-server.md has the decisions.
package host
