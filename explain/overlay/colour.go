package overlay

import (
	"image/color"
	"math"
	"sync"
)

// heat returns the colour of a strength from 0 to 1. In OKLCH (Ottosson, 2020) lightness increases evenly, and
// hue changes from violet over red to yellow. Equal steps therefore look equal, and the order is visible in
// greyscale and to colour-blind readers.
func heat(v float64) color.RGBA {
	colours := heatTable()
	return colours[int(math.Round(min(max(v, 0), 1)*float64(len(colours)-1)))]
}

var heatTable = sync.OnceValue(func() (table [256]color.RGBA) {
	for i := range table {
		t := float64(i) / float64(len(table)-1)
		lightness, hue := 0.30+0.64*t, (295+165*t)*math.Pi/180
		chroma := 0.26
		for {
			if c, ok := oklch(lightness, chroma, hue); ok {
				table[i] = c
				break
			}
			chroma -= 0.002 // reduced until the screen can show the colour
		}
	}
	return table
})

// oklch converts lightness, chroma and hue to sRGB. It reports false if sRGB does not contain the colour.
func oklch(l, c, h float64) (color.RGBA, bool) {
	a, b := c*math.Cos(h), c*math.Sin(h)
	cube := func(x float64) float64 { return x * x * x }
	x, y, z := cube(l+0.3963377774*a+0.2158037573*b), cube(l-0.1055613458*a-0.0638541728*b), cube(l-0.0894841775*a-1.2914855480*b)
	linear := [3]float64{
		4.0767416621*x - 3.3077115913*y + 0.2309699292*z,
		-1.2684380046*x + 2.6097574011*y - 0.3413193965*z,
		-0.0041960863*x - 0.7034186147*y + 1.7076147010*z,
	}
	var out [3]uint8
	for i, v := range linear {
		if v < -1e-6 || v > 1+1e-6 {
			return color.RGBA{}, false
		}
		v = min(max(v, 0), 1)
		if v <= 0.0031308 {
			v *= 12.92
		} else {
			v = 1.055*math.Pow(v, 1/2.4) - 0.055
		}
		out[i] = uint8(math.Round(v * 255))
	}
	return color.RGBA{out[0], out[1], out[2], 255}, true
}

// opacity returns the opacity of the heat map over the image, 0 for weak values so that the image stays
// visible.
func opacity(v float64) float64 {
	t := min(max((v-0.08)/0.72, 0), 1)
	return 0.62 * t * t * (3 - 2*t)
}
