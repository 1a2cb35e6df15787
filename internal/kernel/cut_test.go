package kernel

import "testing"

// TestCut: products are cut as coarsely as blocks ask for, and finer only where workers would wait for each other.
func TestCut(t *testing.T) {
	for _, c := range []struct {
		name              string
		grid              grid
		rows, cols        int
		wantRows, wantCol int
	}{
		{"three items for two workers", grid{rows: 15, cols: 12, workers: 2, extra: 1}, 1, 3, 1, 4},
		{"six items for two workers", grid{rows: 15, cols: 24, workers: 2, extra: 1}, 1, 6, 1, 6},
		{"many items", grid{rows: 57, cols: 24, workers: 2, extra: 1}, 4, 6, 4, 6},
		{"one worker", grid{rows: 15, cols: 12, workers: 1, extra: 1}, 1, 3, 1, 3},
		{"one panel", grid{rows: 15, cols: 1, workers: 2, extra: 1}, 1, 1, 2, 1},
		{"one tile", grid{rows: 1, cols: 1, workers: 8, extra: 1}, 1, 1, 1, 1},
		{"sixteen workers", grid{rows: 15, cols: 24, workers: 16, extra: 1}, 1, 6, 2, 8},
		{"packing costs more than waiting", grid{rows: 2, cols: 3, workers: 2, extra: packingTiles}, 1, 3, 1, 3},
		{"nothing", grid{workers: 2, extra: 1}, 0, 0, 0, 0},
	} {
		rows, cols := c.grid.cut(c.rows, c.cols)
		if rows != c.wantRows || cols != c.wantCol {
			t.Errorf("%s: %d x %d items, want %d x %d", c.name, rows, cols, c.wantRows, c.wantCol)
		}
	}
}
