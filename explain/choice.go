package explain

import (
	"fmt"
	"slices"
)

// Choice selects the score to explain, by names of labels.
type Choice struct {
	labels         []string
	label, against int // Nothing: for label the predicted one, for against none
}

// Choose looks up labels by name among those of an adapter. label is explained; against is the label to compare
// with. An empty label means the predicted label of each image, an empty against none.
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

// Score returns the score to explain for an answer whose predicted label has the index answered.
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

// Names returns the names of a score's labels. against is empty if there is none.
func (c Choice) Names(s Score) (label, against string) {
	label = c.labels[s.Label]
	if s.Against != Nothing {
		against = c.labels[s.Against]
	}
	return label, against
}
