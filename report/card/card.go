package card

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"

	"melo.example/melo/experiment"
	"melo.example/melo/lora/adapterfile"
)

// Source is what a card is made of.
type Source struct {
	Name       string // of the adapter, for people
	Digest     string // of the adapter
	Parameters int    // that the adapter has, with its head
	Metadata   *adapterfile.Metadata
	Evaluation *experiment.EvaluationDocument // nil: none
	Facts      map[string]string              // what people know, by the names of blanks
}

// Documents are a card and the two checklists.
type Documents struct {
	Card   AppliedModelCard
	Claim  Checklist
	Tripod Checklist
	Blanks []Blank // of all three, in their order
}

// New makes the documents. Facts that nothing asks for are an error, and so is an evaluation of another adapter.
func New(s Source) (*Documents, error) {
	if s.Metadata == nil {
		return nil, errors.New("card: no metadata of an adapter")
	}
	if e := s.Evaluation; e != nil && e.Adapter.Digest != s.Digest {
		return nil, fmt.Errorf("the evaluation is of the adapter %s (%s), not of %s (%s)", e.Adapter.Path, e.Adapter.Digest, s.Name, s.Digest)
	}
	d := &Documents{}
	facts := maps.Clone(s.Facts)
	s.fill(&d.Card)
	settle(reflect.ValueOf(&d.Card).Elem(), "", facts, &d.Blanks)
	d.Claim = s.checklist("CLAIM", "CLAIM, Checklist for Artificial Intelligence in Medical Imaging, 2024 update", claim, s.claimKnown(), facts, &d.Blanks)
	d.Tripod = s.checklist("TRIPOD", "TRIPOD+AI, 2024", tripod, s.tripodKnown(), facts, &d.Blanks)
	return d, leftOver(facts)
}

// WriteXML writes the card as the schema has it.
func (c *AppliedModelCard) WriteXML(w io.Writer) error {
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(c); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// WriteJSON writes the card with the names of the schema.
func (c *AppliedModelCard) WriteJSON(w io.Writer) error {
	return writeJSON(w, map[string]any{"AppliedModelCard": c})
}

// WriteBlanks writes names and questions of what is open.
func (d *Documents) WriteBlanks(w io.Writer) error {
	return writeJSON(w, append([]Blank{}, d.Blanks...))
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
