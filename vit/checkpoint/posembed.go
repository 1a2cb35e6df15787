package checkpoint

import "math"

// Position embeddings of a grid of patches are resized by bicubic interpolation, in one of two ways:
//
//   - plain, as torch.nn.functional.interpolate(mode="bicubic", align_corners=False) does: Keys' kernel
//     with a = -0.75, four taps whatever the scale, indices clamped at the border. Hugging Face's ViT,
//     DeiT, ViT-MAE, DINOv2 and CLIP.
//   - antialiased (antialias=True): a = -0.5, the kernel stretched when shrinking, weights cut off at the
//     border and normalised. timm's resample_abs_pos_embed and Hugging Face's DINOv2 with registers.
//
// Both are separable. Scales are computed in float32 and sums in float64, so results agree with
// torch's float32 sums within their rounding.

// resizeGrid resizes a grid of vectors [from*from, d], in row-major order, to [to*to, d].
func resizeGrid(src []float32, from, to, d int, antialias bool) []float32 {
	taps := plainTaps(from, to)
	if antialias {
		taps = smoothTaps(from, to)
	}
	wide := make([]float64, from*to*d) // after resizing along x
	for y := range from {
		for x, row := range taps {
			dst := wide[(y*to+x)*d:][:d]
			for j, w := range row.weights {
				at := src[(y*from+row.first+j)*d:]
				for c := range dst {
					dst[c] += w * float64(at[c])
				}
			}
		}
	}
	out := make([]float32, to*to*d)
	sum := make([]float64, d)
	for y, row := range taps {
		for x := range to {
			clear(sum)
			for j, w := range row.weights {
				at := wide[((row.first+j)*to+x)*d:]
				for c := range sum {
					sum[c] += w * at[c]
				}
			}
			dst := out[(y*to+x)*d:]
			for c, v := range sum {
				dst[c] = float32(v)
			}
		}
	}
	return out
}

// tapRow holds the weights of one output position: a weighted sum of consecutive inputs.
type tapRow struct {
	first   int
	weights []float64
}

// cubic is Keys' kernel (doi 10.1109/TASSP.1981.1163711, equation 15) with parameter a.
func cubic(x, a float64) float64 {
	x = math.Abs(x)
	switch {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	}
	return 0
}

func plainTaps(from, to int) []tapRow {
	scale := float64(float32(from) / float32(to))
	rows := make([]tapRow, to)
	for i := range rows {
		at := scale*(float64(i)+0.5) - 0.5
		base := int(math.Floor(at))
		lo, hi := max(base-1, 0), min(base+2, from-1)
		lo, hi = min(lo, from-1), max(hi, 0)
		w := make([]float64, hi-lo+1)
		for k := base - 1; k <= base+2; k++ { // positions outside count as the border
			w[min(max(k, lo), hi)-lo] += cubic(at-float64(k), -0.75)
		}
		rows[i] = tapRow{lo, w}
	}
	return rows
}

func smoothTaps(from, to int) []tapRow {
	scale := float64(float32(from) / float32(to))
	stretch := max(scale, 1)
	support := 2 * stretch
	rows := make([]tapRow, to)
	for i := range rows {
		center := scale * (float64(i) + 0.5)
		lo := max(int(center-support+0.5), 0)
		hi := min(int(center+support+0.5), from)
		w := make([]float64, hi-lo)
		total := 0.0
		for j := range w {
			w[j] = cubic((float64(lo+j)-center+0.5)/stretch, -0.5)
			total += w[j]
		}
		for j := range w {
			w[j] /= total
		}
		rows[i] = tapRow{lo, w}
	}
	return rows
}
