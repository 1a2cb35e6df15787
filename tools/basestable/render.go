package main

import (
	"fmt"
	"math"
	"strings"
)

// render writes the document.
func render(m *measured) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Bases

<!-- Written by tools/basestable; edit tools/basestable/rows.go and render.go instead. -->

A base is a Vision Transformer that adapters are trained for. These are those that people hold, what to type after `+"`--base`"+`, and what they
cost. Everything that is listed takes all methods of training, and adapters at every linear map. Other sizes of a kind are read
as well; `+"`melo inspect`"+` says of any file what it is, or what it resembles. Instead of a name on a hub, the folder or file that was
downloaded from there may be given; gated models are accepted by hand first. Licences are what the cards say, as far as that is
known here: the card decides.

- **equal**: the greatest difference of features or logits from those of the package that the kind comes from, relative to the greatest number, in f32,
  on small models of the same parts and names (`+"`testdata/golden`"+`).
- **ms, MB**: one image in a process of its own that is warm, and the memory that the process holds then: weights and one pass. Random weights, on
  %s, %d cores, %s, **with other work on the machine** (least of five passes).

| base | `+"`--base`"+` | input | licence | equal | f32 | bf16 | int8 |
|---|---|---|---|---|---|---|---|
`, m.Machine, m.Cores, m.Date)
	for _, r := range rows {
		c := sizes[r.size]
		licence := r.licence
		if licence == "" {
			licence = "see card"
		}
		worst := 0.0
		for _, g := range r.golden {
			worst = max(worst, m.Equality[g])
		}
		fmt.Fprintf(&b, "| %s | `%s` | %d, patch %d | %s | %s |", r.name, r.typed, c.Image, c.Patch, licence, bound(worst))
		for _, p := range []string{"f32", "bf16", "int8"} {
			fmt.Fprintf(&b, " %.0f ms, %s |", m.Cost[r.size][p].Milliseconds, memory(m.Cost[r.size][p].Megabytes))
		}
		b.WriteByte('\n')
	}
	b.WriteString(`
Refused by name: NaFlex variants of SigLIP 2, Swin, SAM, Hiera, TinyViT and other hybrids, RADIO, and whatever has parts
that are not listed in [architecture.md](architecture.md). Where files of a base do not say how an image becomes the
input, ` + "`melo`" + ` takes timm's default for the architecture's name and says so, or asks for it.
`)
	return b.String()
}

// bound is a number rounded up to one digit.
func bound(x float64) string {
	if x == 0 {
		return "to the bit"
	}
	scale := math.Pow(10, math.Floor(math.Log10(x)))
	return fmt.Sprintf("%.0e", math.Ceil(x/scale)*scale)
}

func memory(mb float64) string {
	if mb >= 1000 {
		return fmt.Sprintf("%.1f GB", mb/1000)
	}
	return fmt.Sprintf("%.0f MB", mb)
}
