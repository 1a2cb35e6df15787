package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/bases"
	"melo.example/melo/imaging"
	"melo.example/melo/internal/regular"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/safetensors"
	"melo.example/melo/vit/arch"
	"melo.example/melo/vit/checkpoint"
)

// inspectOptions are the options of "melo inspect".
type inspectOptions struct {
	Path    string `arg:"" help:"A base or an adapter: a .safetensors file, a folder, or embedded: the base that is part of melo."`
	Tensors bool   `help:"List every tensor."`
	Digest  bool   `help:"Compute the SHA-256 of the file (reads all of it)."`
	Trust   string `placeholder:"FILE" help:"List of keys (melo sign) with which the signatures of an adapter are checked."`

	prepareOptions
	Heads int `placeholder:"N" group:"What files of the base do not say:" help:"Number of attention heads."`
	Size  int `placeholder:"N" group:"What files of the base do not say:" help:"Side of the input in pixels."`
}

// Help is the long help text.
func (inspectOptions) Help() string {
	return `Shows what a base or an adapter is, what it needs, and how it did. Bases and adapters are read and
checked completely; of other safetensors files only the header is read.

Examples:

    melo inspect busi.safetensors
    melo inspect busi.safetensors --trust trusted
    melo inspect --tensors vit_tiny/
    melo inspect embedded
    melo inspect hf:google/vit-base-patch16-224
    melo --json inspect busi.safetensors` + exitHelp
}

// inspectDocument is the --json document of "melo inspect".
type inspectDocument struct {
	Path       string           `json:"path"`
	Kind       string           `json:"kind"` // base, adapter, loravit, peft or tensors
	Bytes      int64            `json:"bytes"`
	Digest     string           `json:"digest,omitempty"`
	Tensors    int              `json:"tensors"`
	Parameters int64            `json:"parameters"`
	DTypes     map[string]int   `json:"dtypes"`
	Base       *baseDocument    `json:"base,omitempty"`    // of a base
	Adapter    *adapterDocument `json:"adapter,omitempty"` // of an adapter in any format
	Licence    string           `json:"licence,omitempty"` // of the embedded base
	// Signatures are those of the file beside an adapter, SignatureNote what is wrong with it.
	Signatures    []signatureDocument `json:"signatures,omitempty"`
	SignatureNote string              `json:"signature_note,omitempty"`
	Metadata      map[string]string   `json:"metadata,omitempty"`
	List          []tensorDocument    `json:"list,omitempty"`
}

// tensorDocument is one tensor of a file.
type tensorDocument struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
}

// baseDocument is what a base is.
type baseDocument struct {
	Family   string         `json:"family"`
	Naming   string         `json:"naming"` // "hf" or "timm"
	Width    int            `json:"width"`
	Depth    int            `json:"depth"`
	Heads    int            `json:"heads"`
	MLP      int            `json:"mlp"`
	SwiGLU   bool           `json:"swiglu"`
	Image    int            `json:"image"`
	Patch    int            `json:"patch"`
	Tokens   int            `json:"tokens"`
	Features int            `json:"features"`
	Classes  int            `json:"classes"`
	Recipe   imaging.Recipe `json:"recipe"`
	// RecipeNote says how the recipe was chosen where no file gives it, or that nothing does.
	RecipeNote string   `json:"recipe_note,omitempty"`
	Labels     []string `json:"labels,omitempty"`
}

// adapterDocument is what an adapter is; of a file of other software, as far as that tells.
type adapterDocument struct {
	Digest   string               `json:"digest,omitempty"` // of a native adapter
	Deltas   int                  `json:"delta_parameters"`
	Head     int                  `json:"head_parameters"`
	Metadata adapterfile.Metadata `json:"metadata"`

	deltas []lora.Delta
}

// Run inspects one file or folder.
func (o *inspectOptions) Run(ctx context.Context, s *stdio) error {
	err := fetchBase(ctx, s, o.Path)
	if err != nil {
		return err
	}
	if o.Path, err = bases.Path(o.Path); err != nil {
		return err
	}
	doc, err := inspectTensors(o.Path, o.Tensors)
	if err != nil {
		return badInput(err)
	}
	if err := doc.describe(o); err != nil {
		return badInput(err)
	}
	if doc.Adapter != nil {
		if err := doc.signatures(o.Path, doc.Adapter.Digest, o.Trust); err != nil {
			return badInput(err)
		}
	}
	switch {
	case o.Path == bases.Embedded:
		if err := doc.embedded(); err != nil {
			return err
		}
	case o.Digest:
		if doc.Digest, err = fileDigest(ctx, doc.Path); err != nil {
			return badInput(err)
		}
	}
	doc.print(s)
	return s.document(doc)
}

// describe adds what the tensors mean.
func (d *inspectDocument) describe(o *inspectOptions) error {
	path := o.Path
	kind, err := adapterfile.BaseWeights, error(nil)
	if path != bases.Embedded {
		kind, err = adapterfile.Sniff(path)
	}
	if err != nil {
		return err
	}
	switch kind {
	case adapterfile.Native:
		f, err := adapterfile.Read(path)
		if err != nil {
			return err
		}
		d.Kind, d.Adapter = "adapter", newAdapterDocument(f)
		d.Metadata = nil // said in full by Adapter
	case adapterfile.BaseWeights:
		prepare, err := o.override(o.Size)
		if err != nil {
			return err
		}
		m, err := bases.Describe(path, checkpoint.Options{Heads: o.Heads, Prepare: prepare})
		if err != nil {
			return hintPrepare(err)
		}
		d.Kind = "base"
		d.Base = &baseDocument{
			Family: m.Family, Naming: m.Source, Width: m.Width, Depth: m.Depth, Heads: m.Heads, MLP: m.MLP,
			SwiGLU: m.SwiGLU, Image: m.Image, Patch: m.Patch, Tokens: m.Tokens(), Features: m.Features(),
			Classes: m.Classes, Recipe: m.Recipe, RecipeNote: m.RecipeNote, Labels: m.Labels,
		}
	case adapterfile.LoRAViT:
		f, err := adapterfile.ReadLoRAViT(path, adapterfile.LoRAViTOptions{Import: adapterfile.Import{Look: true}})
		if err != nil {
			return err
		}
		d.Kind, d.Adapter = "loravit", newAdapterDocument(f)
	case adapterfile.PEFT:
		f, err := adapterfile.ReadPEFT(path, adapterfile.Import{Look: true})
		if err != nil {
			return err
		}
		d.Kind, d.Adapter = "peft", newAdapterDocument(f)
	}
	return nil
}

// embedded adds what is known of the base that is part of the program.
func (d *inspectDocument) embedded() (err error) {
	if d.Digest, err = bases.Digest(nil, bases.Embedded); err == nil {
		d.Licence, err = bases.Licence()
	}
	return err
}

func newAdapterDocument(f *adapterfile.File) *adapterDocument {
	a := &adapterDocument{Digest: f.Digest, Metadata: f.Meta, deltas: f.Adapter.Deltas}
	a.Deltas, a.Head = f.Adapter.Parameters()
	return a
}

func (d *inspectDocument) print(s *stdio) {
	s.printf("%s", d.Path)
	s.printf("  kind        %s", d.Kind)
	s.printf("  size        %s", text.Bytes(d.Bytes))
	s.printf("  parameters  %s in %d tensors (%s)", text.Count(d.Parameters), d.Tensors, counts(d.DTypes))
	if d.Digest != "" {
		s.printf("  sha256      %s", hexOf(d.Digest))
	}
	if d.Base != nil {
		d.Base.print(s)
	}
	if d.Adapter != nil {
		d.Adapter.print(s)
		d.printSignatures(s)
	}
	if d.Kind == "loravit" {
		s.notef("%s: such a file does not tell alpha, the blocks and the head's bias: taken as the rank, all from 0, and zero unless melo noted them", d.Path)
	}
	if d.Licence != "" {
		s.entry("  licence     ", "%s", d.Licence)
	}
	widest := 0
	for _, t := range d.List {
		widest = max(widest, len(t.Name))
	}
	for _, t := range d.List {
		s.printf("  %-*s  %-4s  %v", widest, t.Name, t.DType, t.Shape)
	}
}

func (b *baseDocument) print(s *stdio) {
	s.printf("  family      %s, %s naming", b.Family, b.Naming)
	s.entry("  shape       ", "width %d, %d blocks, %d heads, MLP %d, patch %d, %d tokens", b.Width, b.Depth, b.Heads, b.MLP, b.Patch, b.Tokens)
	switch {
	case b.Recipe.Interpolation == "":
		s.entry("  input       ", "%d x %d; %s: %s", b.Image, b.Image, b.RecipeNote, prepareHint)
	case b.RecipeNote != "":
		s.entry("  input       ", "%s; %s", recipeLine(b.Recipe), b.RecipeNote)
	default:
		s.entry("  input       ", "%s", recipeLine(b.Recipe))
	}
	if b.Classes > 0 {
		s.printf("  own head    %d classes", b.Classes)
	}
}

func (a *adapterDocument) print(s *stdio) {
	m := a.Metadata
	if a.Digest != "" {
		s.printf("  sha256      %s", hexOf(a.Digest))
	}
	s.entry("  method      ", "%s, %s numbers beside the base, %s in the head", m.Method, text.Count(int64(a.Deltas)), text.Count(int64(a.Head)))
	s.entry("  base        ", "%s", baseLine(m.Base))
	if len(a.deltas) > 0 {
		s.entry("  sites       ", "%s, scale %s", sitesLine(a.deltas), m.ScaleRule)
	}
	if m.Task != "" {
		names := make([]string, len(m.Labels))
		for i, l := range m.Labels {
			names[i] = l.Name
		}
		s.entry("  task        ", "%s: %s", m.Task, strings.Join(names, ", "))
	}
	if m.Recipe != (imaging.Recipe{}) {
		s.entry("  input       ", "%s", recipeLine(m.Recipe))
	}
	for _, x := range m.Metrics {
		s.entry(fmt.Sprintf("  %-12s", "on "+x.Split), "%s %.4f%s%s", x.Name, x.Value, intervalText(x), labelText(x))
	}
	if t := m.Training; t != nil {
		s.entry("  trained     ", "%s", trainingLine(t))
	}
	s.entry("  fit         ", "%s", fitLine(m.Fit))
	if m.Licence != "" {
		s.entry("  licence     ", "%s", m.Licence)
	}
	s.entry("  use         ", "%s", cmp.Or(m.IntendedUse, notice))
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

func recipeLine(r imaging.Recipe) string {
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

// sitesLine sums up what is adapted: "q, v of 12 blocks, rank 4, alpha 4".
func sitesLine(deltas []lora.Delta) string {
	kinds, blocks := []string{}, map[int]bool{}
	same, pool := true, ""
	for _, d := range deltas {
		if kind := d.Site.Kind.String(); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
		if d.Site.Block == arch.PoolBlock {
			pool = " and attention pooling"
		} else {
			blocks[d.Site.Block] = true
		}
		same = same && d.Rank == deltas[0].Rank && d.Alpha == deltas[0].Alpha
	}
	line := fmt.Sprintf("%s of %d blocks%s", strings.Join(kinds, ", "), len(blocks), pool)
	if same {
		return line + fmt.Sprintf(", rank %d, alpha %g", deltas[0].Rank, deltas[0].Alpha)
	}
	return line + ", ranks and alphas differ"
}

// counts writes a map of counts in a fixed order: "2 F16, 198 F32".
func counts(m map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
	}
	return strings.Join(parts, ", ")
}

// openTensors opens a file, a folder with one, or a sharded model.
func openTensors(path string) (*safetensors.File, error) {
	if path == bases.Embedded {
		return bases.Tensors()
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if filepath.Base(path) == "adapter_config.json" {
		return openTensors(filepath.Dir(path))
	}
	if info.IsDir() {
		if adapter := filepath.Join(path, "adapter_model.safetensors"); exists(adapter) {
			return safetensors.Open(adapter)
		}
	}
	return checkpoint.Tensors(path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func inspectTensors(path string, list bool) (*inspectDocument, error) {
	f, err := openTensors(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	doc := &inspectDocument{Path: f.Path(), Kind: "tensors", DTypes: map[string]int{}, Metadata: f.Metadata()}
	for _, name := range f.Names() {
		t, _ := f.Tensor(name)
		doc.Tensors++
		doc.Parameters += int64(t.Len())
		doc.Bytes += int64(len(t.Data))
		doc.DTypes[string(t.DType)]++
		if list {
			doc.List = append(doc.List, tensorDocument{name, string(t.DType), t.Shape})
		}
	}
	if path == bases.Embedded {
		return doc, nil
	}
	if info, err := os.Stat(f.Path()); err == nil && info.Mode().IsRegular() && filepath.Ext(f.Path()) != ".json" {
		doc.Bytes = info.Size()
	}
	return doc, nil
}

// fileDigest returns "sha256:..." of a file.
func fileDigest(ctx context.Context, path string) (string, error) {
	f, err := regular.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, f}); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// contextReader stops reading when its context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
