// Package access decides who may ask the server what, and how much of it: bearer tokens that are stored as
// hashes, OpenID Connect, client certificates, three roles, and limits of rate, concurrency and size for each
// client.
//
// It knows neither the engine nor the endpoints: an endpoint asks a Guard for the Principal behind a request's Credentials,
// whether its Role is enough, and whether it may go on now. docs/adr/0013-operating-the-server.md has the decisions.
package access
