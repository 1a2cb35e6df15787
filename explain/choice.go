package explain

import (
	"fmt"
	"slices"
)

// Choice says by names which score of an answer is explained.
type Choice struct {
	labels         []string
	label, against int // Nothing: the label of the answer, and no other
}

// Choose finds the labels that a person names among those of an adapter: label is explained, against is what it is compared
// with. An empty label is that of each answer, an empty against is none.
func Choose(labels []string, label, against string) (Choice, error) {
	c := Choice{labels: labels}
	for _, x := range []struct {
		name string
		at   *int
	}{{label, &c.label}, {against, &c.against}} {
		if *x.at = Nothing; x.name == "" {
			continue
		}
		if *x.at = slices.Index(labels, x.name); *x.at < 0 {
			return Choice{}, fmt.Errorf("there is no label %.200q, but %q", x.name, labels)
		}
	}
	if c.label == c.against && c.label != Nothing {
		return Choice{}, fmt.Errorf("%.200q against itself", label)
	}
	return c, nil
}

// Score returns the score of an answer whose label has the number answered.
func (c Choice) Score(answered int) (Score, error) {
	s := Score{Label: c.label, Against: c.against}
	if s.Label == Nothing {
		s.Label = answered
	}
	if s.Label == s.Against {
		return s, fmt.Errorf("the answer is %q, which is what it would be compared with: name a label", c.labels[s.Label])
	}
	return s, nil
}

// Names returns the names of a score's labels; that of Against is empty if there is none.
func (c Choice) Names(s Score) (label, against string) {
	label = c.labels[s.Label]
	if s.Against != Nothing {
		against = c.labels[s.Against]
	}
	return label, against
}
