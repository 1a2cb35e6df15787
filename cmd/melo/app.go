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

// commands is the whole command line. Each field is the options of one command; its Run method is the
// command.
type commands struct {
	JSON bool `name:"json" help:"Print one JSON document on standard output and everything else on standard error."`

	Demo     demoOptions     `cmd:"" help:"The whole story offline, on synthetic pictures: start here."`
	Data     dataOptions     `cmd:"" help:"Show what a data set is before anyone trains on it."`
	Train    trainOptions    `cmd:"" help:"Train an adapter on labelled images."`
	Sweep    sweepOptions    `cmd:"" help:"Look for training settings on validation."`
	Eval     evalOptions     `cmd:"" help:"Measure an adapter on labelled images, with intervals."`
	Compare  compareOptions  `cmd:"" help:"Compare adapters, linear probes and full fine-tuning on a split."`
	Predict  predictOptions  `cmd:"" help:"Predict the labels of images."`
	Ensemble ensembleOptions `cmd:"" group:"also" help:"Make one name of several adapters: their answers' mean."`
	Explain  explainOptions  `cmd:"" help:"Show which parts of images speak for a label."`
	Features featuresOptions `cmd:"" help:"Write what a base makes of images, as NumPy arrays or safetensors."`
	Serve    serveOptions    `cmd:"" help:"Serve adapters over HTTP and gRPC from one base in memory."`
	Inspect  inspectOptions  `cmd:"" help:"Show what a base or an adapter is, what it needs, how it did."`
	Convert  convertOptions  `cmd:"" help:"Convert adapters and bases from and to other formats."`
	Card     cardOptions     `cmd:"" help:"Write a model card and checklists for an adapter."`
	Bench    benchOptions    `cmd:"" group:"also" help:"Measure this machine: kernels, forward, step, switching."`
	Sign     signOptions     `cmd:"" help:"Sign adapters, and make keys for that."`
	Token    tokenOptions    `cmd:"" help:"Make tokens for clients of a server."`
	Audit    auditOptions    `cmd:"" help:"Check the audit log of a server."`
	Dicom    dicomOptions    `cmd:"" help:"Look into DICOM files."`
	Doctor   doctorOptions   `cmd:"" group:"also" help:"Show what this machine can do, and test its kernels."`
	Version  versionOptions  `cmd:"" group:"also" help:"Show the version of the program."`

	Pretrain   pretrainOptions   `cmd:"" group:"also" help:"Train a small base on images drawn by formula."`
	Completion completionOptions `cmd:"" group:"also" help:"Print a script with which bash, zsh or fish complete commands."`
}

const description = "melo: small per-task adapters beside one frozen Vision Transformer."

// stdio is what a command may touch of the process: its streams and how to print results.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	columns  func() int // of the terminal that err is, at the moment; nil when it is none
	json     bool       // --json was given
	printed  bool       // the JSON document is out
	args     []string   // the command line, without the program's name
	hints    []string   // what to say after an error
}

// printf prints a line of the human result on standard output; with --json it does nothing.
func (s *stdio) printf(format string, args ...any) {
	s.lines().Printf(format, args...)
}

// entry prints a label and what stands behind it, over several lines if a screen is too narrow for one.
func (s *stdio) entry(label, format string, args ...any) { s.lines().Entry(label, format, args...) }

// lines is where documents are shown to people; with --json they are not.
func (s *stdio) lines() lines.Writer {
	if s.json {
		return lines.To(io.Discard)
	}
	return lines.To(s.out)
}

// hexOf is a SHA-256 without its name: 64 digits leave room on a screen for a label only.
func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

// notef prints a remark on standard error, where it is in nobody's way. On a terminal it is wrapped at words;
// elsewhere it is one line.
func (s *stdio) notef(format string, args ...any) {
	line := text.Visible(fmt.Sprintf(format, args...))
	if strings.HasPrefix(line, " ") { // a command, to be copied
		fmt.Fprintln(s.err, line)
		return
	}
	line = "melo: " + line
	if s.columns != nil {
		line = text.Wrap(line, s.columns(), 2)
	}
	fmt.Fprintln(s.err, line)
}

// notice says what melo is not, where people read a result.
func (s *stdio) notice() {
	if !s.json {
		s.notef("%s", notice)
	}
}

// document prints v as the one JSON document; without --json it does nothing.
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

// progress returns the meters of a long command, on standard error.
func (s *stdio) progress() *ui.Progress { return ui.New(s.err, s.columns) }

// errorDocument is what stands on standard output when a command with --json fails.
type errorDocument struct {
	Error struct {
		Message    string `json:"message"`
		ExitStatus int    `json:"exit_status"`
	} `json:"error"`
}

// helpShown is how kong leaves after --help.
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

// versionCommand makes "melo --version" the command that it means.
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

// newParser returns the parser of a command line into c.
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

// hasJSONFlag finds --json in a command line that could not be parsed.
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

// oneLine is text.OneLine, with settings named as the flags that they are here.
func oneLine(err error) string {
	line := text.OneLine(err)
	if e := (*experiment.SettingError)(nil); errors.As(err, &e) {
		line = strings.Replace(line, text.OneLine(e), e.Flag(), 1)
	}
	return line
}

// commandOf returns the command that a command line names, nothing if there is none.
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

// commandNames lists the commands, for tests and messages.
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
