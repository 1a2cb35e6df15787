package plot

import (
	"fmt"
	"image/color"
	"strings"
)

// Colors is how many series look different. Neighbours differ in lightness, too, and in their dashes and marks, so
// that they can be told apart without seeing colours, and in print.
const Colors = 8

// tone is a colour on light and on dark ground.
type tone struct{ light, dark uint32 }

// tones are those of Okabe and Ito (2008), darkened on light ground, and lightened on dark, until their contrast
// is at least 3:1. Number 0 is for what is muted.
var tones = [Colors + 1]tone{
	{0x767676, 0x9a9a9a}, {0x0072b2, 0x56b4e9}, {0xd55e00, 0xf28a3c}, {0x00855f, 0x2fc79b}, {0xb5528f, 0xe39ac5},
	{0x444444, 0xd8d8d8}, {0xa87400, 0xf0c54a}, {0x5b50b8, 0xa79cf5}, {0x8a4b2a, 0xcf9b78},
}

var (
	frameTone = tone{0x555555, 0xaaaaaa}
	gridTone  = tone{0xe3e3e3, 0x3a3d42}
	inkTone   = tone{0x222222, 0xe6e6e6}
	paperTone = tone{0xffffff, 0x16181c}
)

// toneOf returns the colour of a pen.
func toneOf(c int) tone {
	switch c {
	case frame:
		return frameTone
	case grid:
		return gridTone
	}
	return tones[c]
}

// CSS returns the rules that an inline figure needs: each page has them once.
func CSS() string {
	var b strings.Builder
	rules := func(indent string, pick func(tone) uint32) {
		fmt.Fprintf(&b, "%s.plot text{fill:#%06x}\n", indent, pick(inkTone))
		for c := grid; c <= Colors; c++ {
			v := pick(toneOf(c))
			fmt.Fprintf(&b, "%s.plot .%s{stroke:#%06x}.plot .%s{fill:#%06x}\n", indent, lineClass(c), v, fillClass(c), v)
		}
	}
	b.WriteString(".plot{font-family:system-ui,-apple-system,\"Segoe UI\",\"Liberation Sans\",\"DejaVu Sans\",Arial,sans-serif}\n.plot polyline{fill:none;stroke-linejoin:round}\n")
	rules("", func(t tone) uint32 { return t.light })
	b.WriteString("@media screen and (prefers-color-scheme:dark){\n")
	rules("", func(t tone) uint32 { return t.dark })
	b.WriteString("}\n")
	return b.String()
}

func lineClass(c int) string { return "l" + className(c) }
func fillClass(c int) string { return "f" + className(c) }

func className(c int) string {
	switch c {
	case frame:
		return "x"
	case grid:
		return "g"
	}
	return fmt.Sprint(c)
}

// rgba is a tone on light ground, as pixels have it.
func (t tone) rgba() color.RGBA {
	return color.RGBA{R: uint8(t.light >> 16), G: uint8(t.light >> 8), B: uint8(t.light), A: 255}
}
