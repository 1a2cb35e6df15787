// Package melo trains and runs small adapters for a frozen Vision Transformer (MeLo, arXiv 2311.08236): open a
// base once, attach any number of adapters, predict with each.
//
//	base, err := melo.Open("vit_base")
//	if err != nil {
//		return err
//	}
//	defer base.Close()
//	busi, err := base.Adapter("busi.safetensors")
//	if err != nil {
//		return err
//	}
//	img, err := imaging.DecodeFile("scan.png")
//	if err != nil {
//		return err
//	}
//	answers, err := base.Predict(ctx, busi, img)
//
// The base is in memory once, whatever the number of adapters. An adapter has a few hundred kilobytes and
// includes its preprocessing, labels and calibration. Switching adapters costs nothing: each call names the
// adapter to use. Results depend neither on the number of workers nor on how images are grouped into calls.
//
// This is research software, not a medical device.
package melo
