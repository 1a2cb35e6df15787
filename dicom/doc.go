// Package dicom reads DICOM objects (PS3.5 and PS3.10): files, data sets, elements and their values. Package
// pixel below it converts pixel data to samples, and to grey values as a radiologist sees them.
//
// [Parse] does not copy the bytes of values and interprets them only on request: [DataSet.Text], [DataSet.Int],
// [DataSet.Float]. It supports implicit and explicit little endian, deflated and explicit big endian, files
// with and without preamble, sequences and items of undefined length, and encapsulated pixel data as fragments.
//
// Input is not trusted: depth, number of elements, lengths and the size of inflated data are limited by
// [Limits] before memory is allocated for them.
package dicom
