package kernel

// Elem is the type in which the elements of a weight are stored and multiplied. Results are always float32.
type Elem uint8

// The element types. With BF16 both operands are rounded to bfloat16, and their products are summed in float32.
// With I8 a weight is a signed byte times a scale per output. Activations are unsigned bytes with a zero point
// and a scale per row, computed at run time, and products are summed exactly in int32. On CPUs without
// instructions for that (AVX2 alone), activations have seven bits, and the scales of weights are chosen so that
// sums of eight products fit into int16.
const (
	F32 Elem = iota
	BF16
	I8
	elems
)

var elemNames = [elems]string{"f32", "bf16", "int8"}

// String returns "f32", "bf16" or "int8".
func (e Elem) String() string { return elemNames[e] }

// Has reports whether the kernel set in use can multiply elements of type e.
func Has(e Elem) bool { return current.micro[e] != nil }

// perWord returns the number of elements in a 32-bit word.
func (e Elem) perWord() int { return 1 << e }

// words returns the number of 32-bit words in a row of n elements.
func (e Elem) words(n int) int {
	n = (n + e.perWord() - 1) / e.perWord()
	if e == I8 {
		n = (n + current.wordStep - 1) / current.wordStep * current.wordStep
	}
	return n
}
