package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/report/card"
)

// cardOptions are the options of "melo card".
type cardOptions struct {
	Adapter    string `required:"" help:"Adapter file." placeholder:"FILE"`
	Evaluation string `help:"What \"melo --json eval\" printed about this adapter. Default: the card has no measurements." placeholder:"FILE"`
	Facts      string `help:"JSON file with what only people know: names from blanks.json, and their texts." placeholder:"FILE"`
	Out        string `help:"Folder for the documents. Default: the name of the adapter with .card." placeholder:"DIR"`
}

// Help is the long help text.
func (cardOptions) Help() string {
	return `Writes what others ask of a model, as far as the adapter and its evaluation know:

    card.xml       Applied Model Card, Coalition for Health AI (schema 0.2)
    card.json      the same with the same names
    claim.md       the checklist CLAIM (2024), item by item
    tripod-ai.md   the checklist TRIPOD+AI (2024)
    blanks.json    what is open: its name and what it asks for

What only people know, such as the intended use or who paid, is a blank. --facts fills blanks in: a JSON object of
names and texts, such as {"BasicInfo.ModelDeveloper": "...", "CLAIM.5": "retrospective"}. A name that nothing asks for
is an error.

Examples:

    melo --json eval --adapter busi.safetensors --data busi/ > eval.json
    melo card --adapter busi.safetensors --evaluation eval.json
    melo card --adapter busi.safetensors --evaluation eval.json \
        --facts facts.json --out card/` + exitHelp
}

// cardDocument is the --json document of "melo card".
type cardDocument struct {
	Folder string       `json:"folder"`
	Files  []string     `json:"files"`
	Blanks []card.Blank `json:"blanks"`
}

// maxCardInput bounds files that people or programs wrote.
const maxCardInput = 64 << 20

// Run writes the documents.
func (o *cardOptions) Run(_ context.Context, s *stdio) error {
	source, err := o.source()
	if err != nil {
		return err
	}
	d, err := card.New(*source)
	if err != nil {
		return badInput(err)
	}
	folder := o.Out
	if folder == "" {
		folder = strings.TrimSuffix(o.Adapter, ".safetensors") + ".card"
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	doc := cardDocument{Folder: folder, Files: []string{}, Blanks: append([]card.Blank{}, d.Blanks...)}
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{{"card.xml", d.Card.WriteXML}, {"card.json", d.Card.WriteJSON}, {"claim.md", d.Claim.WriteMarkdown}, {"tripod-ai.md", d.Tripod.WriteMarkdown}, {"blanks.json", d.WriteBlanks}} {
		if err := atomicfile.Write(filepath.Join(folder, f.name), 0o666, f.write); err != nil {
			return err
		}
		doc.Files = append(doc.Files, f.name)
	}
	s.printf("%s: %s", folder, strings.Join(doc.Files, ", "))
	s.printf("%d blanks that only people can fill in: blanks.json names them, --facts takes their texts", len(doc.Blanks))
	if source.Evaluation == nil {
		s.notef("note: no measurements: --evaluation takes what \"melo --json eval\" prints")
	}
	return s.document(doc)
}

// source reads everything.
func (o *cardOptions) source() (*card.Source, error) {
	f, err := adapterfile.Read(o.Adapter)
	if err != nil {
		return nil, badInput(err)
	}
	deltas, head := f.Adapter.Parameters()
	for _, x := range f.Extra {
		deltas += elements(x.Shape)
	}
	source := &card.Source{Name: strings.TrimSuffix(filepath.Base(o.Adapter), ".safetensors"), Digest: f.Digest, Parameters: deltas + head, Metadata: &f.Meta}
	if o.Evaluation != "" {
		source.Evaluation = &experiment.EvaluationDocument{}
		if err := readCardInput(o.Evaluation, source.Evaluation, false); err != nil {
			return nil, err
		}
		if source.Evaluation.Adapter.Digest == "" {
			return nil, badInput(fmt.Errorf("%s: not a document of melo --json eval", o.Evaluation))
		}
	}
	if o.Facts != "" {
		if err := readCardInput(o.Facts, &source.Facts, true); err != nil {
			return nil, err
		}
	}
	return source, nil
}

// elements is the number of elements of a shape.
func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// readCardInput reads a JSON document.
func readCardInput(path string, v any, texts bool) error {
	data, err := readSmall(path, maxCardInput)
	if err != nil {
		return badInput(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		what := "a JSON document of melo --json eval"
		if texts {
			what = "a JSON object of names and texts"
		}
		if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) && e.Field != "" {
			err = fmt.Errorf("%s: expected another type than %s", e.Field, e.Value)
		}
		return badInput(fmt.Errorf("%s: expected %s: %w", path, what, err))
	}
	return nil
}
