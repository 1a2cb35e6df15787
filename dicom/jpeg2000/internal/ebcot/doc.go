// Package ebcot decodes the code-blocks of JPEG 2000 Part 1: bit-planes in three coding passes each, adaptive
// arithmetic coding, and the code-block styles (tier 1; ITU-T T.800, annexes C and D).
//
// A decoded coefficient is a number of type M: its highest bit is the sign, the others are the magnitude in
// units of one half. The half represents the middle of the interval of the magnitude after the last decoded
// bit-plane; if all were decoded it is the lowest bit.
package ebcot
