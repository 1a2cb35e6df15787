//go:build !unix

package imaging

const nonblock = 0
