package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/imaging/processor"
	"melo.example/melo/internal/regular"
	"melo.example/melo/safetensors"
)

// Options change how Open reads a base.
type Options struct {
	// Image is the side of the input in pixels. Position embeddings are resized to it. 0: the size in the
	// base's configuration.
	Image int
	// Heads is the number of attention heads, for files that do not record it.
	Heads int
	// Prepare overrides what the files say about preprocessing.
	Prepare processor.Override
}

// Open reads the description of a base and finds its weights. path is a folder with config.json and
// model.safetensors (or its shards and their index), an index file, or a .safetensors file alone, whose
// configuration is then inferred from its tensors. Close the checkpoint after reading the weights.
func Open(path string, o Options) (*Checkpoint, error) {
	src, err := locate(path)
	if err != nil {
		return nil, fmt.Errorf("vit: %s: %w", path, err)
	}
	f, notes, err := src.openTensors()
	if err != nil {
		return nil, fmt.Errorf("vit: %w", err)
	}
	var c *Checkpoint
	err = c.Guard(src.weights, func() (err error) {
		c, err = load(f, src, path, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.Notes = append(notes, c.Notes...)
	return c, nil
}

// Guard runs read, which reads views of the file at path. The file is mapped: if it is truncated meanwhile,
// Guard turns the fault into an error.
func (*Checkpoint) Guard(path string, read func() error) error {
	if err := safetensors.Guard(path, read); errors.Is(err, safetensors.ErrChanged) {
		return fmt.Errorf("vit: %w", err)
	} else {
		return err
	}
}

// OpenFS is Open for a base in a single file in the top folder of fsys. Error messages call it name.
func OpenFS(fsys fs.FS, name string, o Options) (*Checkpoint, error) {
	src := &source{weights: name + "/" + weightsName, dir: name, memory: true}
	weights, err := fs.ReadFile(fsys, weightsName)
	if err != nil {
		return nil, fmt.Errorf("vit: %s/%s: %w", name, weightsName, cause(err))
	}
	for file, text := range src.files.byName() {
		if *text, err = fs.ReadFile(fsys, file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("vit: %s/%s: %w", name, file, cause(err))
		}
	}
	f, err := safetensors.Parse(weights, src.weights)
	if err != nil {
		return nil, fmt.Errorf("vit: %w", err)
	}
	return load(f, src, name, o)
}

// source locates the files of a base.
type source struct {
	weights string // a .safetensors file or an index
	sharded bool
	memory  bool // not a file on disk
	dir     string
	files   Files
}

const (
	configName    = "config.json"
	processorName = processor.PreprocessorName
)

// byName maps the name of each file in a folder to the field for its content.
func (f *Files) byName() map[string]*[]byte {
	return map[string]*[]byte{configName: &f.Config, processorName: &f.Preprocessor, processor.ProcessorName: &f.Processor,
		openCLIPConfigName: &f.OpenCLIP}
}

func locate(path string) (*source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, cause(err)
	}
	src := &source{weights: path, dir: filepath.Dir(path)}
	switch {
	case info.IsDir():
		src.dir = path
		if err := src.find(); err != nil {
			return nil, err
		}
	case strings.HasSuffix(path, ".index.json"):
		src.sharded = true
	case !slices.Contains(usualNames, filepath.Base(path)):
		return src, nil // a single weights file: a config.json beside it may belong to another
	}
	for name, text := range src.files.byName() {
		if *text, err = readSmall(filepath.Join(src.dir, name)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	src.choose()
	return src, nil
}

// readSmall reads a file of at most maxConfig bytes. It returns nil if the file does not exist.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, cause(err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfig {
		return nil, fmt.Errorf("expected a file of at most %d bytes", maxConfig)
	}
	f, err := regular.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return nil, cause(err)
	}
	return text, nil
}

// cause strips the path from a system error, for callers that add the path themselves.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// choose drops the configuration of the other library if a folder has two: config.json belongs to the weights
// of transformers or timm, open_clip_config.json to those of open_clip.
func (s *source) choose() {
	if name := filepath.Base(s.weights); name == openCLIPName || name == openCLIPSafeName {
		s.files = Files{OpenCLIP: s.files.OpenCLIP}
	} else if s.files.Config != nil {
		s.files.OpenCLIP = nil
	}
}

// load describes an open file. It closes the file on failure.
func load(f *safetensors.File, src *source, path string, o Options) (*Checkpoint, error) {
	c, err := describe(f, src, o)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	c.Path = path
	return c, nil
}

// describe determines what a file holds.
func describe(f *safetensors.File, src *source, o Options) (*Checkpoint, error) {
	where := filepath.Join(src.dir, configName)
	if src.files.OpenCLIP != nil {
		where = filepath.Join(src.dir, openCLIPConfigName)
	} else if src.files.Config == nil {
		where = src.weights
	}
	named := func(err error) error { return fmt.Errorf("vit: %s: %w", where, err) }
	t, err := src.translate(f, o)
	if err != nil {
		return nil, named(err)
	}
	var notes []string
	if t != nil {
		f, notes = t.tensors, t.notes
	}
	cfg, w, err := describeFile(f, src, t, o)
	if err != nil {
		return nil, named(err)
	}
	if err := w.essentials(); err != nil {
		return nil, err
	}
	s, err := cfg.spec(w, o)
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return nil, named(err)
	}
	c := &Checkpoint{Description: Description{Config: s.Config, Recipe: s.recipe, RecipeNote: s.recipeNote, Labels: s.labels, Notes: notes}, src: src, file: f, names: cfg.naming(), translated: t != nil}
	if c.Problem, err = src.problem(); err != nil {
		return nil, named(err)
	}
	c.values, err = bind(s, w)
	return c, err
}

// problem returns problem_type of config.json: what the head was trained for.
func (s *source) problem() (string, error) {
	var doc struct {
		Problem string `json:"problem_type"`
	}
	if s.files.Config == nil {
		return "", nil
	}
	if err := decode(s.files.Config, &doc); err != nil {
		return "", err
	}
	switch doc.Problem {
	case "", "single_label_classification", "multi_label_classification", "regression":
		return doc.Problem, nil
	}
	return "", fmt.Errorf("problem_type %.40q is not supported", doc.Problem)
}

// translate calls the function translate for bases that are not in the format of transformers.
func (s *source) translate(f *safetensors.File, o Options) (*translated, error) {
	if s.files.Config != nil {
		var probe struct {
			Architecture string `json:"architecture"`
		}
		if err := decode(s.files.Config, &probe); err != nil {
			return nil, err
		}
		if probe.Architecture == "" {
			return nil, nil
		}
	}
	return translate(f, s, o)
}

// describeFile reads or infers the configuration, and looks the tensors up by name.
func describeFile(f *safetensors.File, src *source, t *translated, o Options) (fileSpec, *weights, error) {
	if t != nil {
		w, err := newWeights(f, &timmNames)
		return t.timmConfig, w, err
	}
	if src.files.Config == nil {
		return infer(f, o)
	}
	if o.Heads > 0 {
		return nil, nil, errors.New("its configuration tells the number of heads, which cannot be given besides")
	}
	cfg, err := parseConfig(src.files)
	if err != nil {
		return nil, nil, err
	}
	w, err := newWeights(f, cfg.naming())
	return cfg, w, err
}
