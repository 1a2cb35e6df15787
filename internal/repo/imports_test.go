package repo

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layer says what a package may import from this module, and why nothing else. Packages are named by their folders, the
// one at the top by ".".
type layer struct {
	pkg string // a trailing /... takes in the packages below
	may []string
	why string
}

// anything lets a layer import the whole module (but see never).
var anything = []string{".", "..."}

// layers is searched from the top; the first match decides. Keep it in step with docs/architecture.md.
var layers = []layer{
	{"cmd/...", anything,
		"the command line is the top: it may know everything"},
	{"tools/...", anything, "developer tools are not part of the program"},
	{"bench/machine", []string{"internal/...", "bases", "compute", "vit", "vit/arch", "lora", "lora/adapterfile", "train", "dataset"},
		"what \"melo bench\" measures is part of the program"},
	{"bench/...", anything, "comparisons are not part of the program"},
	{".", anything, "the facade puts the packages together"},
	{"demo", anything, "the demo does what programs do: it trains, compares and serves"},
	{"internal/...", []string{"internal/..."},
		"internal packages are the ground: arithmetic, workers and files that know nothing of models"},
	{"memo", []string{"internal/..."},
		"facts of earlier runs are remembered without knowing what they are"},
	{"safetensors", []string{"internal/..."},
		"tensors on disk mean nothing in particular: models and adapters give them meaning"},
	{"torchfile", []string{"internal/...", "safetensors"},
		"tensors of another format become those of safetensors, and mean as little"},
	{"features", []string{"internal/...", "safetensors", "dataset/parquet"},
		"rows of numbers on disk, whatever made them"},
	{"metric", []string{"internal/..."},
		"metrics see scores and labels, so that anything can be measured with them"},
	{"dicom/jpeg2000/...", []string{"dicom/jpeg2000/..."},
		"a codec is bytes to samples: it knows nothing of DICOM"},
	{"dicom/...", []string{"internal/...", "dicom/..."},
		"an object of a hospital is read without knowing what looks at it"},
	{"imaging/...", []string{"internal/...", "imaging/...", "dicom/..."},
		"an image becomes pixels without knowing what looks at it"},
	{"conformal", nil,
		"sets are arithmetic on probabilities and truths"},
	{"fit", nil,
		"how far an image is from others is arithmetic on their summaries"},
	{"vit/arch", nil,
		"a network is described before anything is read or computed"},
	{"vit/checkpoint", []string{"internal/...", "safetensors", "torchfile", "imaging/...", "vit/arch"},
		"files become plain numbers here; how an engine lays them out is its own affair"},
	{"compute", []string{"internal/...", "imaging", "vit/arch"},
		"the seam between what a network is for and what computes it: it knows neither"},
	{"vit/plain", []string{"compute", "vit/arch"},
		"the model as a textbook has it stands on nothing but its description"},
	{"vit/onnx", []string{"vit/arch"},
		"a model for other runtimes is written from its description and plain numbers"},
	{"vit", []string{"internal/...", "memo", "safetensors", "imaging/...", "compute", "vit/arch", "vit/checkpoint"},
		"the backbone declares Site and Adapter and never imports lora: a nil adapter is the bare base, bit for bit"},
	{"lora", []string{"internal/...", "compute", "vit", "vit/arch"},
		"adapters know the backbone they sit beside, and neither files nor training"},
	{"explain/shortcut", []string{"imaging"},
		"what an adapter looks at follows from its maps and answers, whoever gives them"},
	{"explain/faithful", nil,
		"how good a map is follows from answers and numbers, whoever gives them"},
	{"explain/overlay", []string{"imaging"},
		"a map is laid over an image whoever made it"},
	{"explain", []string{"compute", "vit/arch", "imaging"},
		"a map is made of what an engine shows: whose image it is and how it is drawn is another matter"},
	{"lora/answer", []string{"conformal", "fit"},
		"an answer is arithmetic on logits: whoever has some may ask"},
	{"lora/ensemble", []string{"internal/...", "fit", "imaging", "lora/adapterfile"},
		"what several adapters say together follows from their descriptions, whoever runs them"},
	{"lora/trust", []string{"internal/..."},
		"whom to trust is asked of digests and texts, whatever they stand for"},
	{"lora/adapterfile", []string{"internal/...", "conformal", "fit", "compute", "memo", "torchfile", "vit", "vit/arch", "vit/checkpoint", "lora", "lora/answer", "safetensors", "imaging", "metric"},
		"the adapter file holds a lora.Adapter and its description"},
	{"bases", []string{"internal/...", "memo", "vit", "vit/checkpoint", "imaging/...", "lora/adapterfile", "safetensors"},
		"a base has a name before anything is done with it"},
	{"inspect/known", nil,
		"a table of names of tensors, and what is nearest"},
	{"inspect", []string{"inspect/known", "internal/...", "bases", "imaging/...", "lora", "lora/adapterfile", "lora/trust", "safetensors", "vit", "vit/checkpoint"},
		"what a file is: it stands above all that can be in one"},
	{"convert", []string{"internal/...", "bases", "compute", "imaging/...", "lora", "lora/adapterfile", "safetensors", "vit", "vit/checkpoint", "vit/onnx"},
		"formats become each other by being read and written"},
	{"predictions", []string{"internal/...", "conformal", "dataset/parquet", "experiment", "fit"},
		"answers as documents and tables: whoever has some may write them"},
	{"dataset/...", []string{"internal/...", "imaging", "dicom", "dicom/cohort", "dataset/store", "dataset/layout", "dataset/table", "dataset/label", "dataset/parquet"},
		"samples are files and labels; no model is needed to count or split them"},
	{"report/plot", []string{"internal/..."},
		"a figure is points and names: whoever has some may draw it"},
	{"report/card", []string{"internal/...", "dataset", "experiment", "lora", "lora/adapterfile"},
		"a card says what an adapter and its evaluation know; neither knows of cards"},
	{"report/lines", []string{"internal/...", "report/study", "bench/machine", "convert", "demo", "dicom/show", "experiment", "explain/shortcut", "inspect/...", "imaging", "lora", "lora/adapterfile", "predictions", "serve/audit", "serve/host", "train"},
		"documents of commands as lines: it knows all of them"},
	{"report/study", []string{"internal/...", "report/...", "experiment", "train", "lora", "lora/adapterfile", "metric", "imaging", "explain/shortcut"},
		"a study draws what experiments found; experiments know nothing of pages"},
	{"experiment", []string{"internal/...", "conformal", "features", "fit", "memo", "report/plot", "train/...", "dataset", "bases", "compute", "vit", "vit/arch", "lora", "lora/answer", "lora/adapterfile", "lora/ensemble", "explain/shortcut", "safetensors", "imaging/...", "metric"},
		"experiments make runs and measure them: they know neither the command line nor the facade above them"},
	{"report", []string{"internal/...", "report/plot", "metric", "imaging"},
		"a report shows numbers that others computed"},
	{"train/...", []string{"internal/...", "memo", "train/...", "compute", "vit", "vit/arch", "vit/checkpoint", "lora", "lora/answer", "lora/adapterfile", "safetensors", "imaging", "dataset", "metric", "report/..."},
		"training and serving never import each other: either must be usable alone"},
	{"client", []string{"serve/wire"},
		"a client knows the documents of the wire, and nothing of the server that writes them"},
	{"serve/wire", []string{"lora/adapterfile"},
		"documents that a client knows, too"},
	{"serve/...", []string{"internal/...", "conformal", "explain", "fit", "memo", "serve/...", "bases", "compute", "vit", "vit/arch", "lora", "lora/answer", "lora/adapterfile", "lora/ensemble", "lora/trust", "safetensors", "imaging"},
		"training and serving never import each other: either must be usable alone"},
}

// never lists what only the command line may import, whatever a layer says.
var never = []struct{ pkg, why string }{
	{"cmd/...", "nothing may know the command line"},
	{"internal/ui", "only the command line draws progress: packages report through hooks"},
}

func matches(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
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
		if matches(n.pkg, dep) && !matches("cmd/...", pkg) && !matches(n.pkg, pkg) {
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

// folderOf returns the folder of a package of this module.
func folderOf(pkg, module string) (string, bool) {
	if pkg == module {
		return ".", true
	}
	return strings.CutPrefix(pkg, module+"/")
}

func TestImportsPointDownwards(t *testing.T) {
	module := modulePath(t)
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, spec := range s.file.Imports {
			dep, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			dep, ours := folderOf(dep, module)
			if !ours {
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
		{"vit", "lora", false},
		{"vit", "safetensors", true},
		{"train", "serve", false},
		{"serve/httpapi", "train", false},
		{"serve/httpapi", "serve", true},
		{"safetensors", "vit", false},
		{"internal/kernel", "internal/par", true},
		{"internal/kernel", "vit", false},
		{"lora", "cmd/melo", false},
		{"train", "internal/ui", false},
		{"cmd/melo", "internal/ui", true},
		{"unheard/of", "vit", false},
	} {
		if got := refusal(c.pkg, c.dep) == ""; got != c.ok {
			t.Errorf("may %s import %s: got %v, want %v", c.pkg, c.dep, got, c.ok)
		}
	}
}
