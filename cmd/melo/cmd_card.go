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
	Evaluation string `help:"Output of \"melo --json eval\" for this adapter. Default: the card has no measurements." placeholder:"FILE"`
	Facts      string `help:"JSON file that fills in blanks: names from blanks.json and their texts." placeholder:"FILE"`
	Out        string `help:"Folder for the documents. Default: the adapter's name with .card." placeholder:"DIR"`
}

// Help returns the long help text.
func (cardOptions) Help() string {
	return `Writes documents that reviewers and journals ask for, filled in from the adapter and its evaluation:

    card.xml       Applied Model Card, Coalition for Health AI (schema 0.2)
    card.json      the same content as JSON
    claim.md       CLAIM checklist (2024), item by item
    tripod-ai.md   TRIPOD+AI checklist (2024)
    blanks.json    items that are still open, and what each asks for

Some items, such as the intended use or the funding, cannot be derived and are left blank. --facts fills them in from a
JSON object of names and texts, such as {"BasicInfo.ModelDeveloper": "...", "CLAIM.5": "retrospective"}. Unknown names
are an error.

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
