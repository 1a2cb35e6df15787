// Package audit keeps an append-only log of who asked what of which adapter, in which every entry holds the hash of
// the one before: an entry that is changed, taken out or put in breaks the chain from there on.
//
// An entry is one line of JSON that ends in ,"hash":"..."}: the SHA-256, in hexadecimal, of the line's bytes before
// that. Entries hold no pixels, no names of files and no answers. The chain shows tampering to whoever knows a later
// hash: note the head now and then where the server's account cannot write (docs/serving.md).
package audit
