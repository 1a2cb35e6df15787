// Package pixel turns the pixel data of a DICOM object into samples, and samples into pictures as a radiologist sees them.
//
//	d, err := pixel.Describe(file)     // what the object says of its pixels
//	f, err := d.Frame(0)               // samples of a frame, as stored, whatever the transfer syntax
//	v, err := d.View(0, pixel.Window{})// grey values after modality LUT and window, or colours
//
// Frames are decoded one at a time and only when asked for, so that an object of a thousand frames costs what one does.
package pixel
