package pagetest

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// program builds the program, or takes the one that PAGETEST_MELO names.
func program(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("PAGETEST_MELO"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "melo")
	build := exec.Command("go", "build", "-o", path, "./cmd/melo")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// start serves a folder of adapters and returns the address.
func start(t *testing.T, melo string, args ...string) string {
	t.Helper()
	cmd := exec.Command(melo, append([]string{"--json", "serve", "--listen", "127.0.0.1:0", "--grpc-listen", "", "--drain-delay", "0s"}, args...)...)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the server says\n%s", log.String())
		}
	})
	var doc struct{ HTTP string }
	if err := json.NewDecoder(out).Decode(&doc); err != nil || doc.HTTP == "" {
		t.Fatalf("no address: %v\n%s", err, log.String())
	}
	return doc.HTTP
}

// picture writes a PNG whose pixels a function gives, from 0 to 1.
func picture(t *testing.T, path string, w, h int, at func(x, y int) float64) string {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetGray(x, y, color.Gray{uint8(255 * min(max(at(x, y), 0), 1))})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// spot is a picture with a bright disk on the left or on the right, on noise.
func spot(seed uint64, right bool, w, h int) func(x, y int) float64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	cx, cy := (0.2+0.1*rng.Float64())*float64(w), (0.3+0.4*rng.Float64())*float64(h)
	if right {
		cx = float64(w) - cx
	}
	r := 0.12 * float64(min(w, h))
	return func(x, y int) float64 {
		v := 0.25 + 0.1*rng.NormFloat64()
		if dx, dy := float64(x)-cx, float64(y)-cy; dx*dx+dy*dy < r*r {
			v += 0.6
		}
		return v
	}
}

// stripes is a picture of lines across or along.
func stripes(seed uint64, along bool) func(x, y int) float64 {
	rng := rand.New(rand.NewPCG(seed, 2))
	period := 6 + rng.IntN(5)
	return func(x, y int) float64 {
		at := y
		if along {
			at = x
		}
		v := 0.2 + 0.05*rng.NormFloat64()
		if at%period < period/2 {
			v += 0.6
		}
		return v
	}
}

// trained returns a folder with two adapters of the embedded base: side (left or right) and lines (across or along).
func trained(t *testing.T, melo string) string {
	t.Helper()
	data, adapters := t.TempDir(), t.TempDir()
	for i := range uint64(24) {
		name := strconv.Itoa(int(i)) + ".png"
		picture(t, filepath.Join(data, "side", "left", name), 96, 96, spot(i, false, 96, 96))
		picture(t, filepath.Join(data, "side", "right", name), 96, 96, spot(i+100, true, 96, 96))
		picture(t, filepath.Join(data, "lines", "across", name), 96, 96, stripes(i, false))
		picture(t, filepath.Join(data, "lines", "along", name), 96, 96, stripes(i+100, true))
	}
	for _, task := range []string{"side", "lines"} {
		cmd := exec.Command(melo, "train", "--base", "embedded", "--data", filepath.Join(data, task), "--epochs", "2", "--no-flip",
			"--out", filepath.Join(adapters, task+".safetensors"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return adapters
}
