// Package golden gives tests the tensors that PyTorch computed, by name, and says how far a result is
// from them. tools/golden writes the files and describes them; only tests import this package.
//
// It has its own small reader for safetensors, so that the reader of the program is not its own judge.
package golden
