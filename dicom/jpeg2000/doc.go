// Package jpeg2000 decodes JPEG 2000 (ITU-T T.800, Part 1) and High-Throughput JPEG 2000 (ITU-T T.814, Part
// 15), as raw codestreams, which DICOM's fragments contain, and in JP2 and JPH files.
//
// It supports what the standards allow: tiles and tile-parts, all progressions and their changes, quality
// layers, precincts, packet headers in PPM and PPT, every code-block style, regions of interest by maxshift,
// both wavelets, both colour transforms, subsampled components, and samples of 1 to 32 bits. Lossless
// codestreams are decoded bit for bit. Lossy ones are reconstructed in 32-bit floating point, at the middle of
// each quantisation interval; other good decoders differ from that by at most one level. Extensions of Part 2
// and samples of more than 32 bits are errors that name them.
//
// Input is not trusted: memory is limited by Options.MaxBytes, and sizes in headers are checked before memory
// is allocated. Truncated data are an error unless Options.Partial is set.
package jpeg2000
