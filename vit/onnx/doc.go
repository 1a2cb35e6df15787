// Package onnx writes a network of any description (arch.Config) as an ONNX model that other runtimes read: operators of
// the standard set alone, float32, any number of images, one size of image. It follows the description part by part, as
// package plain does.
//
// Weights are written as they come, one parameter at a time. What does not fit into one protocol buffer (2 GB) lies in a
// file beside the model.
package onnx
