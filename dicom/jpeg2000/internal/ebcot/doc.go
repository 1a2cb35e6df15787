// Package ebcot decodes the code-blocks of JPEG 2000 Part 1: bit-planes in three coding passes each, adaptive arithmetic
// coding, and the code-block styles (tier 1; ITU-T T.800, annexes C and D).
//
// A decoded coefficient is a number of type M: the highest bit is its sign, the others its magnitude in units of one half.
// The half is the middle of the interval in which the magnitude lies after the last bit-plane that was decoded for it; where
// all were decoded it is the lowest bit.
package ebcot
