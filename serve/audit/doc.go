// Package audit writes an append-only log of which client did what with which adapter. Every entry contains the
// hash of the previous one, so that changing, removing or inserting an entry breaks the chain from there on.
//
// An entry is one line of JSON that ends in ,"hash":"..."}: the SHA-256, in hexadecimal, of the preceding bytes
// of the line. Entries contain no pixels, no file names and no answers. The chain reveals tampering to whoever
// knows a later hash: note the head from time to time where the server's account cannot write
// (docs/serving.md).
package audit
