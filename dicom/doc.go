// Package dicom reads DICOM objects (PS3.5 and PS3.10): files, data sets, elements and their values. Package pixel below
// it turns their pixel data into samples and into grey values as a radiologist sees them.
//
// [Parse] keeps the bytes of a value where they lie in the file and interprets them only when asked: [DataSet.Text],
// [DataSet.Int], [DataSet.Float]. It reads implicit and explicit little endian, deflated and explicit big endian, with and
// without the preamble, sequences and items of undefined length, and encapsulated pixel data as fragments.
//
// Everything that is read is untrusted: depth, numbers of elements, lengths and the size of what is inflated are bounded
// by [Limits] before anything is allocated for them.
package dicom
