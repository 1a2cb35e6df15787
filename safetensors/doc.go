// Package safetensors reads and writes the safetensors format
// (https://huggingface.co/docs/safetensors): an 8-byte little-endian header length, a JSON header that
// names each tensor with its dtype, shape and byte range, and the bytes of all tensors without holes.
//
// Files are mapped, and tensors are views into the mapping, so opening costs no more than reading the
// header. The header is treated as hostile: everything in it is checked against the size of the file
// before anything is allocated for it. Tensor values are not looked at.
package safetensors
