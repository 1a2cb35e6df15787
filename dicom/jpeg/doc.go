// Package jpeg decodes the JPEG processes of DICOM (ITU-T T.81): baseline of 8 bits, extended sequential of 8 and 12 bits
// with Huffman coding, and lossless of 2 to 16 bits with all predictors and point transforms.
//
// Components come out as they are coded: no colour transform is undone, because the object around the picture says what
// its samples mean. Subsampled components are widened as the Independent JPEG Group's library does, and blocks are
// transformed by its accurate integer method, so that lossy pictures equal that library's.
//
// Progressive, hierarchical and arithmetic coding are refused by name. Bytes are untrusted: sizes are checked against
// [Limits] before memory is taken, and a picture that ends early is an error.
package jpeg
