package main

import (
	"cmp"
	"context"
	"strings"

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

// Run writes the documents.
func (o *cardOptions) Run(_ context.Context, s *stdio) error {
	source, err := card.Read(o.Adapter, o.Evaluation, o.Facts)
	if err != nil {
		return badInput(err)
	}
	d, err := card.New(*source)
	if err != nil {
		return badInput(err)
	}
	folder := cmp.Or(o.Out, strings.TrimSuffix(o.Adapter, ".safetensors")+".card")
	doc, err := d.WriteFolder(folder)
	if err != nil {
		return err
	}
	s.printf("%s: %s", folder, strings.Join(doc.Files, ", "))
	s.printf("%d blanks that only people can fill in: blanks.json names them, --facts takes their texts", len(doc.Blanks))
	if source.Evaluation == nil {
		s.notef("note: no measurements: --evaluation takes what \"melo --json eval\" prints")
	}
	return s.document(doc)
}
