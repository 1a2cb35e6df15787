package card

import (
	"fmt"
	"io"
	"strings"

	"melo.example/melo/lora"
)

// Checklist is a table of items with what is known about them.
type Checklist struct {
	Title string
	Items []Item
}

// Item is one of them.
type Item struct {
	Section, Number, Ask string
	Known                string // Markdown; a blank if nothing is
	Open                 bool
}

// checklist fills in items from facts, or from what is known. Facts that it has used are removed.
func (s *Source) checklist(prefix, title string, items []item, known, facts map[string]string, blanks *[]Blank) Checklist {
	c := Checklist{Title: title}
	for _, x := range items {
		e := Item{Section: x.section, Number: x.number, Ask: x.ask, Known: known[x.number]}
		name := prefix + "." + x.number
		if fact, ok := facts[name]; ok {
			delete(facts, name)
			e.Known = fact
		}
		if e.Known == "" {
			e.Known, e.Open = unfilled(x.ask), true
			*blanks = append(*blanks, Blank{name, x.ask})
		}
		c.Items = append(c.Items, e)
	}
	return c
}

// WriteMarkdown writes the table.
func (c *Checklist) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\nFilled in from the adapter and its evaluation; items are named in words of our own. %s\n", c.Title, notice)
	section := ""
	for _, x := range c.Items {
		if x.Section != section {
			section = x.Section
			fmt.Fprintf(&b, "\n## %s\n\n| item | topic | here |\n|---|---|---|\n", section)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", x.Number, cell(x.Ask), cell(x.Known))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell is a text in a table of Markdown.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;").Replace(s)
}

// partitions says how data was divided, and from what level on parts are disjoint.
func (s *Source) partitions() (how, level string) {
	t := s.Metadata.Training
	if t == nil || t.Split == nil {
		return "", ""
	}
	how = fmt.Sprintf("%s; seed %d: %d images to train, %d to validate, %d to test.", t.Split.Rule, t.Split.Seed, t.Split.Train, t.Split.Val, t.Split.Test)
	if strings.Contains(t.Split.Rule, "group") {
		return how, "Patients (groups); identical images are kept together."
	}
	if strings.HasPrefix(t.Split.Rule, "given") {
		return how, "As given with the data; whether a patient is on both sides is not known here. Identical images on both sides are refused unless allowed."
	}
	return how, "Images: patients were not known to the program. Identical images are kept together."
}

// selection says how the model was chosen.
func (s *Source) selection() string {
	t := s.Metadata.Training
	if t == nil || t.Hyperparameters == nil {
		return ""
	}
	line := "The average of the parameters over about two epochs, of the epoch that validation chose"
	if keep, _ := t.Hyperparameters["keep_last"].(bool); keep {
		line = "The average of the parameters over about the last two epochs: validation is too small to choose an epoch by"
	}
	return line + "; not below the validation AUC of the linear probe that training began with."
}

// claimKnown is what is known about the items of CLAIM, by number.
func (s *Source) claimKnown() map[string]string {
	how, level := s.partitions()
	known := map[string]string{
		"7": s.development(), "9": s.preprocessing(), "19": how, "20": level,
		"22": s.model() + " Base: " + s.base() + ".", "23": s.software(), "25": s.settings(), "26": s.selection(), "27": "One model; no ensemble.",
	}
	if t := s.Metadata.Training; t != nil && t.Hyperparameters != nil && s.Metadata.Method == lora.MeLo {
		known["24"] = "The base as published; of each pair of low-rank matrices the second is zero, so that training starts from the base; the head as the setting head_init says (probe: the linear probe of the base)."
	}
	s.evaluated(known, "28", "29", "37", "38")
	if e := s.Evaluation; e != nil {
		which := "33"
		if e.Data.Training {
			which = "32"
		}
		known[which] = s.performance()
		known["30"] = s.stability()
		known["35"] = s.excluded()
	}
	return known
}

// tripodKnown is the same for TRIPOD+AI.
func (s *Source) tripodKnown() map[string]string {
	how, level := s.partitions()
	known := map[string]string{
		"5a": s.development(), "7": s.preprocessing(), "9a": "The pixels of one image; nothing else.", "9b": s.preprocessing(), "11": "An image that cannot be read has no answer.",
		"12a": strings.TrimSpace(how + " " + level), "12b": s.preprocessing(), "12c": s.model() + " " + s.settings(),
		"12g": s.software(), "15": sentence(s.outputs()) + " " + s.decision(), "18f": s.software(),
		"22":  fmt.Sprintf("The adapter file (%s) on its base (%s).", s.Digest, s.base()),
		"27a": "Images that cannot be read are refused. Images unlike those of the training: " + s.fit(),
	}
	s.evaluated(known, "12e", "", "23a", "")
	if e := s.Evaluation; e != nil {
		known["21"] = s.tested() + " " + s.counts()
		if e.Data.Training {
			known["16"] = "The same data set. " + s.seen()
		}
		if len(e.Subgroups) > 0 {
			known["14"], known["23a"] = s.subgroups(), known["23a"]+" Subgroups: "+s.subgroups()
		}
	}
	return known
}

// evaluated fills in measures, uncertainty, and performance over all and by label.
func (s *Source) evaluated(known map[string]string, measures, uncertainty, all, labels string) {
	e := s.Evaluation
	if e == nil {
		return
	}
	known[measures] = "AUC (mean over labels and of each), accuracy, sensitivity, specificity, predictive values, F1, expected calibration error, Brier score, log loss, net benefit. " + s.decision()
	if uncertainty != "" {
		known[uncertainty] = fmt.Sprintf("%.0f %% intervals over %d %ss: DeLong on the logit scale, Wilson, and a bootstrap of %d resamples for calibration.", 100*e.Bootstrap.Level, e.Bootstrap.Units, e.Bootstrap.Unit, e.Bootstrap.Resamples)
	}
	known[all] = s.performance()
	if labels != "" {
		known[labels] = s.perLabel()
	} else {
		known[all] += " " + s.perLabel()
	}
}

// stability says what was tried on other images.
func (s *Source) stability() string {
	e := s.Evaluation
	if e.Fit == nil {
		return ""
	}
	return "Images unlike those of the training: " + s.fit()
}

// excluded counts what was left out of the evaluation.
func (s *Source) excluded() string {
	e := s.Evaluation
	return fmt.Sprintf("Evaluation: %d images measured, %d that could not be read or answered left out. Before that, inclusion is a matter of the data set.", e.N, len(e.Failed))
}

// counts are the events of each label.
func (s *Source) counts() string {
	var list []string
	for _, l := range s.Evaluation.PerLabel {
		list = append(list, fmt.Sprintf("%s %d of %d", l.Label, l.Positives, l.Positives+l.Negatives))
	}
	return "Events: " + strings.Join(list, ", ") + "."
}

// software is what trained the model.
func (s *Source) software() string {
	if t := s.Metadata.Training; t != nil && t.Program != "" {
		return "Trained by " + t.Program + "; predictions by the same program, from the adapter file and its base."
	}
	return "Predictions by melo, from the adapter file and its base; what trained the adapter is not recorded."
}
