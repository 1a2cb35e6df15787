package checkpoint

import (
	"math"
	"slices"
	"testing"
)

// Values of torch.nn.functional.interpolate(mode="bicubic", align_corners=False) of PyTorch 2.15, without
// and with antialias.
func TestResizeGrid(t *testing.T) {
	for _, c := range []struct {
		from, to          int
		in, plain, smooth []float32
	}{
		{2, 3, []float32{0.66, 0.27, 0.06, 0.62},
			[]float32{0.75309628, 0.47585076, 0.19860564, 0.35262161, 0.4025, 0.45237851, -0.047852762, 0.3291494, 0.70615137},
			[]float32{0.72924328, 0.47322372, 0.21720396, 0.35440791, 0.40250003, 0.45059213, -0.020427605, 0.33177632, 0.68398041},
		},
		{4, 3, []float32{-1.17, -1.07, 1.32, -0.68, -0.59, 0.27, -0.96, -0.24, -0.57, 0.01, -0.55, -1.01, 1.39, 0.81, 0.56, 1.08},
			[]float32{-1.0886747, 0.22528288, -0.34314147, -0.55827367, -0.38419923, -0.84369087, 1.0539166, 0.4763751, 0.71026397},
			[]float32{-1.0360651, 0.05961258, -0.13239083, -0.37481827, -0.33666989, -0.78946286, 0.84679359, 0.4349806, 0.45096311},
		},
		{3, 5, []float32{-0.2, -0.97, 0.42, 0.27, -0.42, -0.51, -1.57, -0.12, 3.59},
			[]float32{-0.17046277, -0.65716958, -1.0228001, -0.14115983, 0.65635967, 0.20057152, -0.27069527, -0.77819967, -0.51069629, -0.18399203, 0.33624002, 0.0087597957, -0.41999999, -0.52475995, -0.51864004, -0.88228261, -0.73285979, -0.19680011, 1.1512045, 2.1366289, -1.9055628, -1.3977137, -0.091200031, 2.5217695, 4.3747816},
			[]float32{-0.17690282, -0.5749042, -1.0115094, -0.071274109, 0.60352433, 0.11046609, -0.27797949, -0.7905224, -0.37307188, -0.036889702, 0.32207546, 0.032014932, -0.41999999, -0.50932831, -0.51679242, -0.9566378, -0.76048583, -0.20059699, 1.331238, 2.2847061, -1.8304912, -1.3225979, -0.097358495, 2.5697312, 4.2010779},
		},
	} {
		for i, want := range [][]float32{c.plain, c.smooth} {
			// Two channels: the values and their negatives.
			in := make([]float32, 0, 2*len(c.in))
			for _, v := range c.in {
				in = append(in, v, -v)
			}
			got := resizeGrid(in, c.from, c.to, 2, i == 1)
			if len(got) != 2*len(want) {
				t.Fatalf("%d values, expected %d", len(got), 2*len(want))
			}
			for k, v := range want {
				// torch sums 16 products in float32; values are of order 1.
				if d := math.Abs(float64(got[2*k] - v)); d > 2e-6 || got[2*k+1] != -got[2*k] {
					t.Errorf("%d to %d, antialias %v, value %d: %v, expected %v", c.from, c.to, i == 1, k, got[2*k], v)
				}
			}
		}
	}
}

// Both ways keep constants, and the same size changes nothing.
func TestResizeGridInvariants(t *testing.T) {
	for _, to := range []int{1, 2, 5, 8, 13} {
		for _, antialias := range []bool{false, true} {
			ones := slices.Repeat([]float32{1.5}, 25)
			for _, v := range resizeGrid(ones, 5, to, 1, antialias) {
				if math.Abs(float64(v)-1.5) > 1e-6 {
					t.Errorf("a constant became %v at size %d, antialias %v", v, to, antialias)
				}
			}
		}
	}
	in := make([]float32, 36)
	for i := range in {
		in[i] = float32(i*i%17) / 3
	}
	for _, antialias := range []bool{false, true} {
		if !slices.Equal(resizeGrid(in, 3, 3, 4, antialias), in) {
			t.Errorf("the same size changes values, antialias %v", antialias)
		}
	}
}
