// Package onnx writes a network of any description (arch.Config) as an ONNX model for other runtimes. It uses
// operators of the standard set, float32, any batch size, and one image size. Its structure follows that of
// package vit/plain.
//
// Weights are written one parameter at a time. What does not fit into one protocol buffer (2 GB) is written to
// a second file beside the model.
package onnx
