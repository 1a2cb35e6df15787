// Package access decides which client may use the server for what, and how much: bearer tokens that are stored
// as hashes, OpenID Connect, client certificates, three roles, and limits of rate, concurrency and size for
// each client.
//
// It knows neither the engine nor the endpoints. An endpoint asks a Guard for the Principal behind a request's
// Credentials, whether its Role is sufficient, and whether it may proceed now. See
// docs/adr/0013-operating-the-server.md.
package access
