package pretrain

import "melo.example/melo/train"

// Loss is the mean squared error of global and of local outputs, weighted. It is a train.Loss.
type Loss struct {
	Global, Local int     // numbers of outputs
	LocalWeight   float64 // of local ones beside global ones
}

// Weight is the number of images.
func (l *Loss) Weight(t train.Targets) float64 { return float64(len(t.Label)) }

// Backward computes losses and gradients.
func (l *Loss) Backward(losses []float64, dlogits, logits []float32, t train.Targets, weight float64) {
	n := len(logits) / len(losses)
	wg, wl := 1/(float64(l.Global)*weight), l.LocalWeight/(float64(l.Local)*weight)
	for i := range losses {
		y, d, want := logits[i*n:(i+1)*n], dlogits[i*n:(i+1)*n], t.Present[i*n:(i+1)*n]
		losses[i] = wg*squares(d[:l.Global], y, want, float32(2*wg)) + wl*squares(d[l.Global:], y[l.Global:], want[l.Global:], float32(2*wl))
	}
}

// squares returns the sum of squared errors and writes their gradients, times scale.
func squares(d, y, want []float32, scale float32) float64 {
	var sum float64
	for k := range d {
		e := y[k] - want[k]
		sum += float64(e) * float64(e)
		d[k] = scale * e
	}
	return sum
}
