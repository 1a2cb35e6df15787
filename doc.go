// Package melo predicts with low-rank adapters beside one frozen Vision Transformer (MeLo,
// arXiv 2311.08236): open a base once, attach adapters, predict with any of them.
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
// The base is held in memory once, whatever the number of adapters. An adapter is a few hundred kilobytes
// that know their preprocessing, labels and calibration; switching to another one is passing another
// pointer. Results do not depend on the number of workers, nor on how images are grouped into calls.
//
// This is research software, not a medical device.
package melo
