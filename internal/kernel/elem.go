package kernel

// Elem is the type in which the elements of a weight are kept and multiplied. Results are float32 always.
type Elem uint8

// The element types. With BF16 both sides are rounded to bfloat16 once, and their products summed in
// float32. With I8 a weight is a signed byte times a scale for each output, activations are unsigned bytes
// with a zero point and a scale for each row, found as they come, and products are summed exactly in int32. On
// CPUs without instructions for that (AVX2 alone), those of activations hold seven bits, and scales of weights are
// such that sums of eight products fit into int16.
const (
	F32 Elem = iota
	BF16
	I8
	elems
)

var elemNames = [elems]string{"f32", "bf16", "int8"}

// String returns "f32", "bf16" or "int8".
func (e Elem) String() string { return elemNames[e] }

// Has reports whether the kernel set in use multiplies elements of type e.
func Has(e Elem) bool { return current.micro[e] != nil }

// perWord is the number of elements in a 32-bit word.
func (e Elem) perWord() int { return 1 << e }

// words is the number of 32-bit words that a row of n elements takes.
func (e Elem) words(n int) int {
	n = (n + e.perWord() - 1) / e.perWord()
	if e == I8 {
		n = (n + current.wordStep - 1) / current.wordStep * current.wordStep
	}
	return n
}
