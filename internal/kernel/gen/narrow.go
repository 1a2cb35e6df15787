package main

// Kernels that make the narrow left-hand sides of matrix products.

// narrowBF16 returns the kernel that rounds n (a multiple of the lanes) numbers to bfloat16.
func narrowBF16(t *Target) *Func {
	f := NewFunc(t, "narrowBF16", "sets dst = bfloat16 of src for n numbers, a multiple of the lanes.",
		Arg{"dst", "*uint16"}, Arg{"src", "*float32"}, Arg{"n", "int"})
	dst, src, n, v := f.Arg("dst"), f.Arg("src"), f.Arg("n"), f.V()
	f.Label("loop")
	f.Load(v, At(src, 0))
	f.StoreBF16(At(dst, 0), v)
	f.AddI(src, t.Bytes())
	f.AddI(dst, t.Bytes()/2)
	f.SubJumpNZ(n, t.Lanes, "loop")
	f.Ret()
	return f
}

// rangeOf returns the kernel that finds the least and the greatest of n numbers and 0, lane by lane.
func rangeOf(t *Target) *Func {
	f := NewFunc(t, "rangeOf", "stores the least and the greatest of src and 0, of each lane of a vector, at least and most; in a lane with\na number that is not finite, the least is NaN.",
		Arg{"least", "*float32"}, Arg{"most", "*float32"}, Arg{"src", "*float32"}, Arg{"n", "int"})
	least, most, src, n := f.Arg("least"), f.Arg("most"), f.Arg("src"), f.Arg("n")
	lo, hi, v := f.V(), f.V(), f.V()
	zero, odd := f.V(), f.V() // odd stays 0 until a number that is not finite comes
	for _, r := range []V{lo, hi, zero, odd} {
		f.Zero(r)
	}
	f.Label("loop")
	f.Load(v, At(src, 0))
	f.Op2(VMin, lo, lo, v)
	f.Op2(VMax, hi, hi, v)
	f.Op2(VFMA, odd, v, zero)
	f.AddI(src, t.Bytes())
	f.SubJumpNZ(n, t.Lanes, "loop")
	f.Op2(VAdd, lo, lo, odd)
	f.Store(At(least, 0), lo)
	f.Store(At(most, 0), hi)
	f.Ret()
	return f
}

// quantize returns the kernel that sets dst = round(src*factor + zero) as unsigned bytes.
func quantize(t *Target) *Func {
	f := NewFunc(t, "quantize", "sets dst = round(src*factor + zero), between 0 and 255, for n numbers, a multiple of the lanes.",
		Arg{"dst", "*uint8"}, Arg{"src", "*float32"}, Arg{"n", "int"}, Arg{"factor", "float32"}, Arg{"zero", "float32"})
	dst, src, n := f.Arg("dst"), f.Arg("src"), f.Arg("n")
	factor, zero, v := f.V(), f.V(), f.V()
	f.Dup(factor, f.ArgAddr("factor"))
	f.Dup(zero, f.ArgAddr("zero"))
	low, high := f.V(), f.NewConst(255)
	f.Zero(low)
	f.Label("loop")
	f.Load(v, At(src, 0))
	f.Op2(VMul, v, v, factor)
	f.Op2(VAdd, v, v, zero)
	f.Op2(VMax, v, low, v)
	f.Op2(VMin, v, high, v)
	f.Op1(VRoundI, v, v)
	f.StoreU8(At(dst, 0), v)
	f.AddI(src, t.Bytes())
	f.AddI(dst, t.Lanes)
	f.SubJumpNZ(n, t.Lanes, "loop")
	f.Ret()
	return f
}
