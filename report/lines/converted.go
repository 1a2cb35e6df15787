package lines

import (
	"strings"

	"melo.example/melo/convert"
	"melo.example/melo/internal/text"
)

// Converted shows what was converted.
func Converted(l Writer, d *convert.Document) {
	l.Printf("%s (%s, %s) -> %s (%s, %s)", d.In.Path, d.In.Format, text.Bytes(d.In.Bytes), d.Out.Path, d.Out.Format, text.Bytes(d.Out.Bytes))
	if d.Sites != "" {
		l.Entry("  sites       ", "%s, %s parameters", d.Sites, text.Count(int64(d.Deltas)))
	}
	if d.Head > 0 {
		l.Entry("  head        ", "%s parameters: %s", text.Count(int64(d.Head)), strings.Join(d.Labels, ", "))
	}
	if d.In.Digest != "" && d.Deltas == 0 && d.Head == 0 { // of a base: what adapters know it by
		l.Printf("  sha256 in   %s", hexOf(d.In.Digest))
	}
	if d.Out.Digest != "" {
		l.Printf("  sha256      %s", hexOf(d.Out.Digest))
	}
	if d.Alpha != nil {
		l.Printf("  alpha       %d: LoRA-ViT must be given it", *d.Alpha)
	}
}
