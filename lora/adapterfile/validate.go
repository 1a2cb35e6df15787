package adapterfile

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"melo.example/melo/lora"
	"melo.example/melo/vit"
)

const digestPrefix = "sha256:"

// validate returns an error that names the first invalid field. It does not check tensors.
func (m *Metadata) validate() error {
	checks := []func() error{m.checkBase, m.checkMethod, m.checkLabels, m.checkSites, m.checkEvidence, m.checkFit, m.checkConformal}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	if m.Pool != "" && m.Pool != "class" && m.Pool != "mean" && m.Pool != "class+mean" {
		return fmt.Errorf("pool %.40q, expected class, mean or class+mean", m.Pool)
	}
	if m.Recipe.Size != 0 {
		return m.Recipe.Validate()
	}
	return nil
}

func (m *Metadata) checkBase() error {
	b := &m.Base
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"width", b.Width, maxWidth}, {"depth", b.Depth, maxBlocks}, {"mlp", b.MLP, maxWidth}, {"patch", b.Patch, maxWidth},
		{"image", b.Image, maxWidth}, {"registers", b.Registers, maxWidth}, {"features", b.Features, 2 * maxWidth},
	} {
		if f.value < 0 || f.value > f.max {
			return fmt.Errorf("base %s %d, expected at most %d", f.name, f.value, f.max)
		}
	}
	if b.Width == 0 {
		return fmt.Errorf("base width is missing")
	}
	return checkDigest("base digest", b.Digest)
}

// checkDigest accepts an empty digest.
func checkDigest(what, digest string) error {
	if digest == "" {
		return nil
	}
	sum, ok := strings.CutPrefix(digest, digestPrefix)
	if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != 32 || sum != strings.ToLower(sum) {
		return fmt.Errorf("%s %.80q, expected %q and 64 hexadecimal digits", what, digest, digestPrefix)
	}
	return nil
}

func (m *Metadata) checkMethod() error {
	switch m.Method {
	case lora.MeLo:
		return nil
	case lora.LinearOnly, lora.FullTuning:
		if len(m.Sites) > 0 {
			return fmt.Errorf("method %q has %d sites, expected none", m.Method, len(m.Sites))
		}
		return nil
	}
	return fmt.Errorf("method %.40q, expected %q, %q or %q", string(m.Method), lora.MeLo, lora.LinearOnly, lora.FullTuning)
}

func (m *Metadata) checkLabels() error {
	n := len(m.Labels)
	if n > maxLabels {
		return fmt.Errorf("%d labels, expected at most %d", n, maxLabels)
	}
	seen := make(map[string]bool, n)
	for i, l := range m.Labels {
		if l.Name == "" || seen[l.Name] {
			return fmt.Errorf("label %d %.80q is empty or stands twice", i, l.Name)
		}
		seen[l.Name] = true
		if l.Code != nil && (l.Code.System == "" || l.Code.Value == "") {
			return fmt.Errorf("label %.80q: code without system or value", l.Name)
		}
	}
	switch {
	case n == 0 && m.Task != "":
		return fmt.Errorf("task %.40q without labels", string(m.Task))
	case n == 0:
	case m.Task == Binary && n > 2:
		return fmt.Errorf("task binary with %d labels, expected 1 or 2", n)
	case m.Task != Binary && m.Task != Multiclass && m.Task != Multilabel:
		return fmt.Errorf("task %.40q, expected %q, %q or %q", string(m.Task), Binary, Multiclass, Multilabel)
	}
	if k := len(m.Thresholds); k != 0 && k != n {
		return fmt.Errorf("%d thresholds for %d labels", k, n)
	}
	for i, v := range m.Thresholds {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("threshold %d is %v, expected 0 to 1", i, v)
		}
	}
	if k := len(m.Temperatures); k > 1 && k != n || k == 1 && n == 0 {
		return fmt.Errorf("%d temperatures for %d labels", k, n)
	}
	for i, v := range m.Temperatures {
		if !(v > 0) || math.IsInf(v, 0) {
			return fmt.Errorf("temperature %d is %v, expected a positive number", i, v)
		}
	}
	return nil
}

// checkConformal accepts none.
func (m *Metadata) checkConformal() error {
	if m.Conformal == nil {
		return nil
	}
	if err := m.Conformal.Validate(len(m.Labels), m.Exclusive()); err != nil {
		return fmt.Errorf("conformal: %w", err)
	}
	return nil
}

func (m *Metadata) checkSites() error {
	if len(m.Sites) == 0 {
		if m.ScaleRule != "" {
			return fmt.Errorf("scale rule without sites")
		}
		return nil
	}
	if m.ScaleRule != ScaleAlphaOverRank && m.ScaleRule != ScaleAlphaOverSqrtRank {
		return fmt.Errorf("scale rule %.40q, expected %q or %q", m.ScaleRule, ScaleAlphaOverRank, ScaleAlphaOverSqrtRank)
	}
	seen := map[vit.Site]bool{}
	for _, g := range m.Sites {
		if err := m.checkGroup(g, seen); err != nil {
			return err
		}
	}
	return nil
}

func (m *Metadata) checkGroup(g SiteGroup, seen map[vit.Site]bool) error {
	kind, err := vit.ParseKind(g.Kind)
	if err != nil {
		return fmt.Errorf("site %.40q, expected q, k, v, proj, fc1 or fc2", g.Kind)
	}
	if g.Pool && len(g.Blocks) > 0 {
		return fmt.Errorf("site %v of attention pooling with blocks", kind)
	}
	if in, out := m.Base.dims(vit.Site{Kind: kind}); in == 0 || out == 0 {
		return fmt.Errorf("site %v: base mlp is missing", kind)
	}
	if g.Rank < 1 || g.Rank > maxRank {
		return fmt.Errorf("site %v: rank %d, expected 1 to %d", kind, g.Rank, maxRank)
	}
	if !finite(g.Alpha) {
		return fmt.Errorf("site %v: alpha %v", kind, g.Alpha)
	}
	if len(g.Blocks) == 0 && !g.Pool {
		return fmt.Errorf("site %v without blocks", kind)
	}
	depth := maxBlocks
	if m.Base.Depth > 0 {
		depth = m.Base.Depth
	}
	for _, b := range g.sites() {
		site := vit.Site{Block: b, Kind: kind}
		if b < 0 || b >= depth && !g.Pool {
			return fmt.Errorf("site %v, but the base has %d blocks", site, depth)
		}
		if seen[site] {
			return fmt.Errorf("site %v stands twice", site)
		}
		seen[site] = true
	}
	return nil
}

// checkEvidence checks the fields about training and quality.
func (m *Metadata) checkEvidence() error {
	if t := m.Training; t != nil {
		if t.Time != "" {
			if _, err := time.Parse(time.RFC3339, t.Time); err != nil {
				return fmt.Errorf("training time %.40q, expected RFC 3339", t.Time)
			}
		}
		if t.Data != nil {
			if err := checkDigest("data digest", t.Data.Digest); err != nil {
				return err
			}
		}
	}
	for _, x := range m.Metrics {
		if x.Name == "" || x.Split == "" || len(x.Interval) != 0 && len(x.Interval) != 2 {
			return fmt.Errorf("metric %.40q of split %.40q: expected a name, a split, and an interval [low, high] or none", x.Name, x.Split)
		}
	}
	if s := m.SelfTest; s != nil {
		if len(s.Logits) > maxSelfTests {
			return fmt.Errorf("self-test of %d inputs, expected at most %d", len(s.Logits), maxSelfTests)
		}
		for _, row := range s.Logits {
			if len(row) != len(m.Labels) {
				return fmt.Errorf("self-test has %d logits an input, expected %d", len(row), len(m.Labels))
			}
		}
	}
	return nil
}

func finite(v float32) bool { return v-v == 0 }

// firstBad returns the index of the first NaN or infinity, or -1.
func firstBad(values []float32) int {
	for i, v := range values {
		if !finite(v) {
			return i
		}
	}
	return -1
}
