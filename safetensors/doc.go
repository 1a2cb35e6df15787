// Package safetensors reads and writes the safetensors format (https://huggingface.co/docs/safetensors): an
// 8-byte little-endian header length, a JSON header that gives each tensor's name, dtype, shape and byte range,
// and the contiguous bytes of all tensors.
//
// Files are mapped, and tensors are views into the mapping, so opening costs no more than reading the header.
// The header is not trusted: everything in it is checked against the size of the file before memory is
// allocated for it. Tensor values are not inspected.
package safetensors
