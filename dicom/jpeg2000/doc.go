// Package jpeg2000 decodes JPEG 2000 (ITU-T T.800, Part 1) and High-Throughput JPEG 2000 (ITU-T T.814, Part 15), as raw
// codestreams, which DICOM's fragments hold, and in JP2 and JPH files.
//
// It reads what the standards allow: tiles and tile-parts, all progressions and their changes, quality layers, precincts,
// packet headers in PPM and PPT, every code-block style, regions of interest by maxshift, both wavelets, both colour
// transforms, subsampled components, and samples of 1 to 32 bits. Lossless codestreams come out bit for bit. Lossy ones
// are reconstructed in 32-bit floating point, in the middle of each quantisation interval; decoders of good quality differ
// from that by at most one level. Refused by name are extensions of Part 2 and samples of more than 32 bits.
//
// Bytes are not trusted: memory is bounded by Options.MaxBytes, and what a header asks for is checked before it is
// allocated. Data that end early are an error unless Options.Partial is set.
package jpeg2000
