package lines

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"melo.example/melo/experiment"
	"melo.example/melo/imaging"
	"melo.example/melo/inspect"
	"melo.example/melo/inspect/known"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
)

// Inspected shows what a file is. The hint is what can be done where nothing tells how images are prepared.
func Inspected(l Writer, d *inspect.Document, hint string) {
	l.Printf("%s", d.Path)
	l.Printf("  kind        %s", d.Kind)
	l.Printf("  size        %s", text.Bytes(d.Bytes))
	l.Printf("  parameters  %s in %d tensors (%s)", text.Count(d.Parameters), d.Tensors, counts(d.DTypes))
	if d.Digest != "" {
		l.Printf("  sha256      %s", hexOf(d.Digest))
	}
	if d.Base != nil {
		inspectedBase(l, d.Base, hint)
	}
	if d.Adapter != nil {
		inspectedAdapter(l, d.Adapter)
		signatures(l, d)
	}
	if m := d.Nearest; m != nil {
		nearest(l, d, m)
	}
	if d.Licence != "" {
		l.Entry("  licence     ", "%s", d.Licence)
	}
	widest := 0
	for _, t := range d.List {
		widest = max(widest, len(t.Name))
	}
	for _, t := range d.List {
		l.Printf("  %-*s  %-4s  %v", widest, t.Name, t.DType, t.Shape)
	}
}

// nearest says which published model a file resembles, and what differs.
func nearest(l Writer, d *inspect.Document, m *known.Match) {
	l.Entry("  nearest     ", "%s of %s (%s), %.0f %% of the names alike", text.List(m.Models), m.Package, m.Family, 100*m.Likeness)
	if m.Tensors != d.Tensors || m.Parameters != d.Parameters {
		l.Entry("  there       ", "%s in %d tensors", text.Count(m.Parameters), m.Tensors)
	}
	for _, x := range []struct {
		what  string
		names []string
	}{{"only there", m.Missing}, {"only here", m.Extra}} {
		const few = 6
		switch n := len(x.names); {
		case n > few:
			l.Entry(fmt.Sprintf("  %-12s", x.what), "%s and %d more", strings.Join(x.names[:few], ", "), n-few)
		case n > 0:
			l.Entry(fmt.Sprintf("  %-12s", x.what), "%s", strings.Join(x.names, ", "))
		}
	}
}

func inspectedBase(l Writer, b *inspect.Base, hint string) {
	l.Printf("  family      %s, %s naming", b.Family, b.Naming)
	l.Entry("  shape       ", "width %d, %d blocks, %d heads, MLP %d, patch %d, %d tokens", b.Width, b.Depth, b.Heads, b.MLP, b.Patch, b.Tokens)
	switch {
	case b.Recipe.Interpolation == "":
		l.Entry("  input       ", "%d x %d; %s: %s", b.Image, b.Image, b.RecipeNote, hint)
	case b.RecipeNote != "":
		l.Entry("  input       ", "%s; %s", Recipe(b.Recipe), b.RecipeNote)
	default:
		l.Entry("  input       ", "%s", Recipe(b.Recipe))
	}
	if b.Classes > 0 {
		l.Printf("  own head    %d classes", b.Classes)
	}
}

func inspectedAdapter(l Writer, a *inspect.Adapter) {
	m := a.Metadata
	if a.Digest != "" {
		l.Printf("  sha256      %s", hexOf(a.Digest))
	}
	l.Entry("  method      ", "%s, %s trainable parameters beside the base, %s in the head", m.Method, text.Count(int64(a.Deltas)), text.Count(int64(a.Head)))
	l.Entry("  base        ", "%s", baseLine(m.Base))
	if len(a.Sites) > 0 {
		l.Entry("  sites       ", "%s, scale %s", lora.Describe(a.Sites), m.ScaleRule)
	}
	if m.Task != "" {
		names := make([]string, len(m.Labels))
		for i, l := range m.Labels {
			names[i] = l.Name
		}
		l.Entry("  task        ", "%s: %s", m.Task, strings.Join(names, ", "))
	}
	if m.Recipe != (imaging.Recipe{}) {
		l.Entry("  input       ", "%s", Recipe(m.Recipe))
	}
	for _, x := range m.Metrics {
		l.Entry(fmt.Sprintf("  %-12s", "on "+x.Split), "%s %.4f%s%s", x.Name, x.Value, intervalText(x), labelText(x))
	}
	if t := m.Training; t != nil {
		l.Entry("  trained     ", "%s", trainingLine(t))
	}
	l.Entry("  fit         ", "%s", fitLine(m.Fit))
	if m.Licence != "" {
		l.Entry("  licence     ", "%s", m.Licence)
	}
	l.Entry("  use         ", "%s", cmp.Or(m.IntendedUse, experiment.Notice))
}

func labelText(m adapterfile.Metric) string {
	if m.Label == "" {
		return fmt.Sprintf(", %d images", m.N)
	}
	return " for " + m.Label
}

// trainingLine says what an adapter comes from, as far as it tells.
func trainingLine(t *adapterfile.Training) string {
	var parts []string
	if d := t.Data; d != nil && d.Images > 0 {
		parts = append(parts, fmt.Sprintf("on %s (%d images)", cmp.Or(d.Name, "unnamed data"), d.Images))
	}
	if x := t.Split; x != nil {
		parts = append(parts, fmt.Sprintf("%d to train, %d to validate, %d for testing", x.Train, x.Val, x.Test))
	}
	if t.Program != "" {
		parts = append(parts, "by "+t.Program)
	}
	if t.Source != "" {
		parts = append(parts, "imported from "+t.Source)
	}
	if t.Time != "" {
		parts = append(parts, t.Time)
	}
	return strings.Join(append(parts, fmt.Sprintf("seed %d", t.Seed)), ", ")
}

func intervalText(m adapterfile.Metric) string {
	if len(m.Interval) != 2 {
		return ""
	}
	return fmt.Sprintf(" (%g %% interval %.4f to %.4f)", 100*m.Level, m.Interval[0], m.Interval[1])
}

func baseLine(b adapterfile.Base) string {
	line := cmp.Or(b.ID, b.PathHint, b.Family, "unnamed")
	if b.PathHint != "" && b.PathHint != line {
		line += " at " + b.PathHint
	}
	line += fmt.Sprintf(", width %d", b.Width)
	if b.Depth > 0 {
		line += fmt.Sprintf(", %d blocks", b.Depth)
	}
	if b.Digest != "" {
		line += ", " + b.Digest[:min(len(b.Digest), len("sha256:")+12)]
	}
	return line
}

// Recipe says how images are prepared.
func Recipe(r imaging.Recipe) string {
	line := fmt.Sprintf("%d x %d, %s", r.Size, r.Size, r.Interpolation)
	switch {
	case r.Fit == imaging.FitNone && r.Cut == imaging.CutNone:
		line += ", images of that size only"
	case r.Fit == imaging.FitNone:
		line += ", centre crop without resizing"
	case r.Fit == imaging.FitSquash:
		line += fmt.Sprintf(", squashed to %d and centre crop", r.Resize)
	case r.Cut == imaging.CutNone && r.Resize > 0:
		line += ", square images only"
	case r.Resize > 0:
		line += fmt.Sprintf(", shorter side to %d and centre crop", r.Resize)
	}
	if r.Depth != imaging.DepthStored {
		line += ", depth " + r.Depth
	}
	if r.Window != "" {
		line += ", window " + r.Window
	}
	return line + fmt.Sprintf(", mean %v, std %v", r.Mean, r.Std)
}

// fitLine says what an adapter knows of its training images.
func fitLine(f *adapterfile.Fit) string {
	if f == nil {
		return "does not know its training images: any picture is answered"
	}
	what := "marked, and nothing is decided"
	if f.Policy == adapterfile.FitRefuse {
		what = "refused"
	}
	where := "of validation"
	if f.On == "train" {
		where = "held out of training"
	}
	return fmt.Sprintf("knows %d training images; unlike ones are %s, at a threshold from %d images %s that calls some %.1f %% of its own unlike",
		f.Images, what, f.OnImages, where, 100*f.Expected)
}

// counts writes a map of counts in a fixed order: "2 F16, 198 F32".
func counts(m map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
	}
	return strings.Join(parts, ", ")
}

// signatures says who has signed.
func signatures(l Writer, d *inspect.Document) {
	if d.SignatureNote != "" {
		l.Entry("  signed      ", "%s", d.SignatureNote)
	}
	for _, v := range d.Signatures {
		line := v.Time + ", key " + v.Key
		if v.As != "" {
			line += ", for the name " + v.As + " alone"
		}
		if v.Comment != "" {
			line += ": " + v.Comment
		}
		who := "by " + v.Signer + ", verified"
		if v.Signer == "" {
			who = "not verified: " + cmp.Or(v.Reason, "unknown")
		}
		l.Entry("  signed      ", "%s; %s", who, line)
	}
}
