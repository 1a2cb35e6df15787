package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"melo.example/melo/bases"
	"melo.example/melo/experiment"
	config "melo.example/melo/internal/settings"
	"melo.example/melo/internal/text"
	"melo.example/melo/internal/ui"
	"melo.example/melo/report/lines"
)

// commands is the command line. Each command is a field with its options; the Run method of the field's type
// executes the command.
type commands struct {
	JSON bool `name:"json" help:"Print one JSON document on standard output and everything else on standard error."`

	Demo     demoOptions     `cmd:"" help:"Try everything offline on synthetic images; start here."`
	Data     dataOptions     `cmd:"" help:"Check a data set before training: labels, splits, duplicates."`
	Train    trainOptions    `cmd:"" help:"Train an adapter on labelled images."`
	Sweep    sweepOptions    `cmd:"" help:"Search for training settings on the validation split."`
	Eval     evalOptions     `cmd:"" help:"Evaluate an adapter on labelled images, with intervals."`
	Compare  compareOptions  `cmd:"" help:"Compare adapters, linear probes and full fine-tuning on one split."`
	Predict  predictOptions  `cmd:"" help:"Predict the labels of images."`
	Ensemble ensembleOptions `cmd:"" group:"also" help:"Make one name of several adapters: their answers' mean."`
	Explain  explainOptions  `cmd:"" help:"Show which parts of images speak for a label."`
	Features featuresOptions `cmd:"" help:"Write what a base makes of images, as NumPy arrays or safetensors."`
	Serve    serveOptions    `cmd:"" help:"Serve adapters over HTTP and gRPC from one base in memory."`
	Inspect  inspectOptions  `cmd:"" help:"Describe a base or an adapter file, and check it."`
	Convert  convertOptions  `cmd:"" help:"Convert adapters and bases between file formats."`
	Card     cardOptions     `cmd:"" help:"Write a model card and reporting checklists for an adapter."`
	Bench    benchOptions    `cmd:"" group:"also" help:"Measure the speed of this machine: kernels, inference, training."`
	Sign     signOptions     `cmd:"" help:"Sign adapters, and create signing keys."`
	Token    tokenOptions    `cmd:"" help:"Create access tokens for clients of a server."`
	Audit    auditOptions    `cmd:"" help:"Verify the audit log of a server."`
	Dicom    dicomOptions    `cmd:"" help:"Show and de-identify DICOM files."`
	Doctor   doctorOptions   `cmd:"" group:"also" help:"Show what this machine supports, and test its kernels."`
	Version  versionOptions  `cmd:"" group:"also" help:"Show the version of the program."`

	Pretrain   pretrainOptions   `cmd:"" group:"also" help:"Pre-train a small base on procedurally generated images."`
	Completion completionOptions `cmd:"" group:"also" help:"Print a completion script for bash, zsh or fish."`
}

const description = "melo: small per-task adapters beside one frozen Vision Transformer."

// stdio is a command's access to the process: its streams, and functions that print results.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	columns  func() int // current width of the terminal err; nil: err is none
	json     bool       // --json was given
	printed  bool       // the JSON document was printed
	args     []string   // the command line, without the program's name
	hints    []string   // advice to print after an error
}

// printf prints a line of human-readable results on standard output. With --json it does nothing.
func (s *stdio) printf(format string, args ...any) {
	s.lines().Printf(format, args...)
}

// entry prints a label and a value, over several lines if the screen is too narrow.
func (s *stdio) entry(label, format string, args ...any) { s.lines().Entry(label, format, args...) }

// lines returns the writer for human-readable documents, which discards its input with --json.
func (s *stdio) lines() lines.Writer {
	if s.json {
		return lines.To(io.Discard)
	}
	return lines.To(s.out)
}

// hexOf returns a SHA-256 digest without the prefix "sha256:", so that 64 digits and a label fit on a line.
func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

// notef prints a remark on standard error. On a terminal it wraps at word boundaries; elsewhere it is one line.
func (s *stdio) notef(format string, args ...any) {
	line := text.Visible(fmt.Sprintf(format, args...))
	if strings.HasPrefix(line, " ") { // a command to copy is not wrapped
		fmt.Fprintln(s.err, line)
		return
	}
	line = "melo: " + line
	if s.columns != nil {
		line = text.Wrap(line, s.columns(), 2)
	}
	fmt.Fprintln(s.err, line)
}

// notice prints that melo is research software, for commands whose results people read.
func (s *stdio) notice() {
	if !s.json {
		s.notef("%s", notice)
	}
}

// document prints v as the JSON document. Without --json it does nothing.
func (s *stdio) document(v any) error {
	if !s.json {
		return nil
	}
	s.printed = true
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing the JSON document: %w", err)
	}
	return nil
}

// progress returns the progress bars of a long command, on standard error.
func (s *stdio) progress() *ui.Progress { return ui.New(s.err, s.columns) }

// errorDocument is printed on standard output when a command with --json fails.
type errorDocument struct {
	Error struct {
		Message    string `json:"message"`
		ExitStatus int    `json:"exit_status"`
	} `json:"error"`
}

// helpShown is the panic value with which kong exits after --help.
type helpShown struct{ status int }

// run parses args, runs the command and returns the exit status.
func run(ctx context.Context, args []string, s *stdio) (status int) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case helpShown:
			status = p.status
		default:
			panic(p)
		}
	}()
	s.args = args
	if cache := hubCache(); cache != bases.HubCache { // what does not change may be read meanwhile
		bases.HubCache = cache
	}
	err := dispatch(ctx, args, s)
	status = exitStatus(err)
	if err == nil {
		return status
	}
	s.notef("%s", strings.Replace(oneLine(err), context.Canceled.Error(), "interrupted", 1))
	for _, h := range s.hints {
		s.notef("%s", h)
	}
	if status == exitUsage {
		fmt.Fprintf(s.err, "Run %q for the usage.\n", strings.Join(append([]string{"melo"}, append(commandOf(args), "--help")...), " "))
	}
	if s.json && !s.printed {
		var doc errorDocument
		doc.Error.Message, doc.Error.ExitStatus = oneLine(err), status
		if err := s.document(doc); err != nil {
			s.notef("%s", oneLine(err))
		}
	}
	return status
}

func dispatch(ctx context.Context, args []string, s *stdio) error {
	var c commands
	parser, err := newParser(ctx, &c, s)
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	args = versionCommand(helpCommand(args))
	parsed, err := parser.Parse(config.EncodeArgs(args))
	config.DecodeOptions(reflect.ValueOf(&c))
	s.json = c.JSON
	if err != nil {
		var wrong *kong.ParseError
		if errors.As(err, &wrong) {
			s.json = s.json || hasJSONFlag(args)
		}
		return usage(err)
	}
	return parsed.Run()
}

// versionCommand turns "melo --version" into "melo version".
func versionCommand(args []string) []string {
	for i, a := range args {
		if a == "--version" {
			return append(append(slices.Clone(args[:i]), "version"), args[i+1:]...)
		}
		if a != "--json" {
			break
		}
	}
	return args
}

// newParser returns a parser that parses a command line into c.
func newParser(ctx context.Context, c *commands, s *stdio) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("melo"),
		kong.Description(description),
		kong.Writers(s.out, s.err),
		kong.Exit(func(status int) { panic(helpShown{status}) }),
		kong.Help(printHelp),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
		kong.Vars(trainDefaults),
	)
}

// hasJSONFlag reports whether a command line that could not be parsed contains --json.
func hasJSONFlag(args []string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == "--json" {
			return true
		}
	}
	return false
}

// oneLine returns an error as text.OneLine, with settings named as flags.
func oneLine(err error) string {
	line := text.OneLine(err)
	if e := (*experiment.SettingError)(nil); errors.As(err, &e) {
		line = strings.Replace(line, text.OneLine(e), e.Flag(), 1)
	}
	return line
}

// commandOf returns the command that a command line names, nil if none.
func commandOf(args []string) []string {
	for _, a := range helpCommand(args) {
		if slices.Contains(commandNames(), a) {
			return []string{a}
		}
		if !strings.HasPrefix(a, "-") {
			break
		}
	}
	return nil
}

// commandNames lists all commands, for tests and messages.
func commandNames() []string {
	var names []string
	t := reflect.TypeFor[commands]()
	for i := range t.NumField() {
		if _, ok := t.Field(i).Tag.Lookup("cmd"); ok {
			names = append(names, strings.ToLower(t.Field(i).Name))
		}
	}
	return names
}
