package repo

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layer says what a package may import from this module, and why nothing else.
type layer struct {
	pkg string // a trailing /... takes in the packages below
	may []string
	why string
}

// anything lets a layer import the whole module (but see never).
var anything = []string{"melo", "melo/..."}

// layers is searched from the top; the first match decides. Keep it in step with docs/architecture.md.
var layers = []layer{
	{"melo/cmd/...", anything,
		"the command line is the top: it may know everything"},
	{"melo/tools/...", anything, "developer tools are not part of the program"},
	{"melo/bench/...", anything, "comparisons are not part of the program"},
	{"melo", anything, "the facade puts the packages together"},
	{"melo/internal/...", []string{"melo/internal/..."},
		"internal packages are the ground: arithmetic, workers and files that know nothing of models"},
	{"melo/safetensors", []string{"melo/internal/..."},
		"tensors on disk mean nothing in particular: models and adapters give them meaning"},
	{"melo/metric", []string{"melo/internal/..."},
		"metrics see scores and labels, so that anything can be measured with them"},
	{"melo/imaging", []string{"melo/internal/..."},
		"an image becomes pixels without knowing what looks at it"},
	{"melo/vit", []string{"melo/internal/...", "melo/safetensors", "melo/imaging"},
		"the backbone declares Site and Adapter and never imports lora: a nil adapter is the bare base, bit for bit"},
	{"melo/lora", []string{"melo/internal/...", "melo/vit"},
		"adapters know the backbone they sit beside, and neither files nor training"},
	{"melo/lora/adapterfile", []string{"melo/internal/...", "melo/vit", "melo/lora", "melo/safetensors", "melo/imaging", "melo/metric"},
		"the adapter file holds a lora.Adapter and its description"},
	{"melo/bases", []string{"melo/internal/...", "melo/vit", "melo/lora/adapterfile", "melo/safetensors"},
		"a base has a name before anything is done with it"},
	{"melo/dataset", []string{"melo/internal/...", "melo/imaging"},
		"samples are files and labels; no model is needed to count or split them"},
	{"melo/report/plot", []string{"melo/internal/..."},
		"a figure is points and names: whoever has some may draw it"},
	{"melo/report", []string{"melo/internal/...", "melo/report/plot", "melo/metric", "melo/imaging"},
		"a report shows numbers that others computed"},
	{"melo/train/...", []string{"melo/internal/...", "melo/train/...", "melo/vit", "melo/lora", "melo/lora/adapterfile", "melo/safetensors", "melo/imaging", "melo/dataset", "melo/metric", "melo/report/..."},
		"training and serving never import each other: either must be usable alone"},
	{"melo/serve/...", []string{"melo/internal/...", "melo/serve/...", "melo/bases", "melo/vit", "melo/lora", "melo/lora/adapterfile", "melo/safetensors", "melo/imaging"},
		"training and serving never import each other: either must be usable alone"},
}

// never lists what only the command line may import, whatever a layer says.
var never = []struct{ pkg, why string }{
	{"melo/cmd/...", "nothing may know the command line"},
	{"melo/internal/ui", "only the command line draws progress: packages report through hooks"},
}

func matches(pattern, pkg string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	return pattern == pkg
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

// refusal returns why pkg may not import dep, or "".
func refusal(pkg, dep string) string {
	for _, n := range never {
		if matches(n.pkg, dep) && !matches("melo/cmd/...", pkg) && !matches(n.pkg, pkg) {
			return n.why
		}
	}
	for _, l := range layers {
		if matches(l.pkg, pkg) {
			if matchesAny(l.may, dep) {
				return ""
			}
			return l.why
		}
	}
	return "the package has no layer yet: give it one in internal/repo/imports_test.go and docs/architecture.md"
}

func TestImportsPointDownwards(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, spec := range s.file.Imports {
			dep, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if dep != module && !strings.HasPrefix(dep, module+"/") {
				continue
			}
			if why := refusal(s.pkg(), dep); why != "" {
				t.Errorf("%s imports %s: %s", s.path, dep, why)
			}
		}
	}
}

func TestRefusal(t *testing.T) {
	for _, c := range []struct {
		pkg, dep string
		ok       bool
	}{
		{"melo/vit", "melo/lora", false},
		{"melo/vit", "melo/safetensors", true},
		{"melo/train", "melo/serve", false},
		{"melo/serve/httpapi", "melo/train", false},
		{"melo/serve/httpapi", "melo/serve", true},
		{"melo/safetensors", "melo/vit", false},
		{"melo/internal/kernel", "melo/internal/par", true},
		{"melo/internal/kernel", "melo/vit", false},
		{"melo/lora", "melo/cmd/melo", false},
		{"melo/train", "melo/internal/ui", false},
		{"melo/cmd/melo", "melo/internal/ui", true},
		{"melo/unheard/of", "melo/vit", false},
	} {
		if got := refusal(c.pkg, c.dep) == ""; got != c.ok {
			t.Errorf("may %s import %s: got %v, want %v", c.pkg, c.dep, got, c.ok)
		}
	}
}
