// Package pixel converts the pixel data of a DICOM object to samples, and samples to pictures as a radiologist
// sees them.
//
//	d, err := pixel.Describe(file)      // the object's description of its pixels
//	f, err := d.Frame(0)                // samples of a frame, as stored, for any transfer syntax
//	v, err := d.View(0, pixel.Window{}) // grey values after modality LUT and window, or colours
//
// Frames are decoded one at a time and only on request, so that the cost does not depend on the number of
// frames of an object.
package pixel
