package kernel

// apply applies the epilogue to y, the product for rows r0.. and columns c0.., and writes the result to c, or
// to ep.Words. It overwrites y.
func (ep *Epilogue) apply(c, y Mat, r0, c0 int) {
	done := ep.fused(c, y, r0, c0)
	if done == y.Cols {
		return
	}
	c, y, c0 = c.ColRange(done, c.Cols), y.ColRange(done, y.Cols), c0+done
	if !ep.Words.Empty() {
		c = y
	}
	for r := range y.Rows {
		ep.row(c.Row(r), y.Row(r), r0+r, c0)
	}
	if !ep.Words.Empty() {
		ep.Words.setPart(r0, c0, y)
	}
}

// row applies the epilogue to y, the product for row r and columns from c0 on.
func (ep *Epilogue) row(dst, y []float32, r, c0 int) {
	c1 := c0 + len(y)
	if ep.Bias != nil {
		AddTo(y, ep.Bias[c0:c1])
	}
	if ep.Pre.Data != nil {
		copy(ep.Pre.Row(r)[c0:c1], y)
	}
	if ep.Act != Identity {
		Activate(y, y, ep.Act)
	}
	switch {
	case ep.Scale != nil && ep.Residual.Data != nil:
		MulAdd(dst, y, ep.Scale[c0:c1], ep.Residual.Row(r)[c0:c1])
	case ep.Scale != nil:
		Mul(dst, y, ep.Scale[c0:c1])
	case ep.Residual.Data != nil:
		Add(dst, y, ep.Residual.Row(r)[c0:c1])
	default:
		copy(dst, y)
	}
}

// fused does the work of apply in one kernel, with bit-identical results. It returns the number of columns that
// it processed: those in whole vectors, or 0 if no kernel covers this combination of steps.
func (ep *Epilogue) fused(c, y Mat, r0, c0 int) int {
	n := y.Cols &^ (current.lanes - 1)
	if !fast() || n == 0 || y.Rows == 0 || ep.Bias == nil {
		return 0
	}
	part := func(m Mat) Mat { return m.RowRange(r0, r0+y.Rows).ColRange(c0, c0+n) }
	row := func(x []float32) Mat { return Mat{Data: x[c0 : c0+n]} }
	o := gridOperands{n: n, rows: y.Rows}
	o.set(0, c)
	o.set(1, y)
	activates, simple := ep.Act != Identity && ep.Scale == nil && ep.Residual.Data == nil, ep.Act == Identity && ep.Pre.Data == nil
	ops := &[...]gridOp{GELUErf: gridGeluErf, GELUTanh: gridGeluTanh, GELUQuick: gridGeluQuick}
	if !ep.Words.Empty() {
		if !activates {
			return 0
		}
		o.set(0, ep.Words.part(r0, c0))
		ops = &[...]gridOp{GELUErf: gridGeluErfBF16, GELUTanh: gridGeluTanhBF16, GELUQuick: gridGeluQuickBF16}
	}
	var op gridOp
	switch {
	case activates:
		op = ops[ep.Act]
		o.set(2, y) // a place that nothing reads
		if ep.Pre.Data != nil {
			o.set(2, part(ep.Pre))
		}
		o.set(3, row(ep.Bias))
	case simple && ep.Scale == nil && ep.Residual.Data == nil:
		op = gridBias
		o.set(2, row(ep.Bias))
	case simple && ep.Scale == nil:
		op = gridBiasAdd
		o.set(2, row(ep.Bias))
		o.set(3, part(ep.Residual))
	case simple && ep.Residual.Data != nil:
		op = gridBiasScaleAdd
		o.set(2, row(ep.Bias))
		o.set(3, row(ep.Scale))
		o.set(4, part(ep.Residual))
	default:
		return 0
	}
	asmGrid(op, &o)
	return n
}
