// Package golden gives tests access to tensors that PyTorch computed, by name, and compares results with them.
// tools/golden writes the files and describes them. Only tests import this package.
//
// It has its own small reader for safetensors, so that the program's reader is tested independently.
package golden
