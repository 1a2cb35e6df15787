package lines

import (
	"fmt"

	"melo.example/melo/explain/shortcut"
)

// Shortcuts says whether answers come from places where no finding is expected.
func Shortcuts(l Writer, f *shortcut.Findings) {
	l.Printf("%d images; their maps beside the area of places without findings, and what covering these loses", f.Images)
	l.Printf("  %-32s  images  of maps  of area  lost, points (95 %%)", "place")
	for i := range f.Places {
		x := &f.Places[i]
		if x.Label != "" && !x.Suspicious {
			continue
		}
		name := string(x.Place)
		if x.Label != "" {
			name = "  answers " + cut(x.Label, 22, true)
		}
		lost := fmt.Sprintf("%.1f", 100*x.Drop)
		if x.DropInterval != nil {
			lost += fmt.Sprintf(" (%.1f to %.1f)", 100*x.DropInterval[0], 100*x.DropInterval[1])
		}
		if x.Suspicious {
			lost += "  suspicious"
		}
		l.Printf("  %-32s  %6d  %5.1f %%  %5.1f %%  %s", name, x.Images, 100*x.Share, 100*x.Area, lost)
	}
	switch {
	case f.Suspicious:
		l.Printf("some answers rest on what is no finding: look at the maps for letters, scales and borders")
	default:
		l.Printf("no place is suspicious")
	}
}
