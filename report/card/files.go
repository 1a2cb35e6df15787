package card

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"melo.example/melo/experiment"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/regular"
	"melo.example/melo/lora/adapterfile"
)

// Document says what was written, as "melo --json card" prints it.
type Document struct {
	Folder string   `json:"folder"`
	Files  []string `json:"files"`
	Blanks []Blank  `json:"blanks"`
}

// maxInput bounds files that people or programs wrote, in bytes.
const maxInput = 64 << 20

// Read reads an adapter, what "melo --json eval" printed about it, and what only people know: an object of names and texts.
// Without a path for one of the last two the source has none.
func Read(adapter, evaluation, facts string) (*Source, error) {
	f, err := adapterfile.Read(adapter)
	if err != nil {
		return nil, err
	}
	deltas, head := f.Adapter.Parameters()
	for _, x := range f.Extra {
		n := 1
		for _, d := range x.Shape {
			n *= d
		}
		deltas += n
	}
	s := &Source{Name: strings.TrimSuffix(filepath.Base(adapter), ".safetensors"), Digest: f.Digest, Parameters: deltas + head, Metadata: &f.Meta}
	if evaluation != "" {
		s.Evaluation = &experiment.EvaluationDocument{}
		if err := readJSON(evaluation, "a JSON document of melo --json eval", s.Evaluation); err != nil {
			return nil, err
		}
		if s.Evaluation.Adapter.Digest == "" {
			return nil, fmt.Errorf("%s: not a document of melo --json eval", evaluation)
		}
	}
	if facts != "" {
		if err := readJSON(facts, "a JSON object of names and texts", &s.Facts); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readJSON reads a JSON document. what says which one is expected.
func readJSON(path, what string, v any) error {
	data, err := regular.ReadFile(path, maxInput)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) && e.Field != "" {
			err = fmt.Errorf("%s: expected another type than %s", e.Field, e.Value)
		}
		return fmt.Errorf("%s: expected %s: %w", path, what, err)
	}
	return nil
}

// WriteFolder writes the card, the checklists and the blanks into a folder, which is made if need be.
func (d *Documents) WriteFolder(folder string) (*Document, error) {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	doc := &Document{Folder: folder, Files: []string{}, Blanks: append([]Blank{}, d.Blanks...)}
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{{"card.xml", d.Card.WriteXML}, {"card.json", d.Card.WriteJSON}, {"claim.md", d.Claim.WriteMarkdown}, {"tripod-ai.md", d.Tripod.WriteMarkdown}, {"blanks.json", d.WriteBlanks}} {
		if err := atomicfile.Write(filepath.Join(folder, f.name), 0o666, f.write); err != nil {
			return nil, err
		}
		doc.Files = append(doc.Files, f.name)
	}
	return doc, nil
}
