//go:build !unix

package main

// freeBytes is the room that is left on the disk of a folder; 0 if unknown.
func freeBytes(string) int64 { return 0 }
