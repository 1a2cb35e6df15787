// Package jpegls decodes JPEG-LS (ITU-T T.87): lossless and near-lossless, 2 to 16 bits, components apart, by lines or by
// samples, with preset parameters and restart intervals.
//
// Mapping tables and colour transforms of the format's extensions are refused by name; DICOM has neither. Bytes are
// untrusted: sizes are checked against [Limits] before memory is taken, and a picture that ends early is an error.
package jpegls
