package card

import (
	"encoding/json"
	"fmt"
	"strings"

	"melo.example/melo/dataset"
	"melo.example/melo/experiment"
	"melo.example/melo/internal/text"
	"melo.example/melo/lora"
)

// fill puts what is known into a card.
func (s *Source) fill(c *AppliedModelCard) {
	m := s.Metadata
	c.BasicInfo.ModelName = s.Name
	c.ReleaseInfo.ReleaseVersion = s.Digest
	c.ModelSummary.Summary = s.summary()
	c.ModelSummary.Keywords.Keyword = append([]string{"medical imaging", "image classification", string(m.Task)}, m.LabelNames()...)
	c.UsesAndDirections.IntendedUseAndWorkflow = m.IntendedUse
	c.UsesAndDirections.HowToUse = "An image goes in, a probability for each label comes out (`melo predict`, `melo serve`). " + s.decision()
	c.UsesAndDirections.CautionedOutOfScopeSettings = "Research software, not a medical device: not for diagnosis or treatment. Images unlike those of the training: " + s.fit()
	c.Warnings.KnownRisksAndLimitations = s.limits()
	f := &c.TrustIngredients.AISystemFacts
	f.OutcomesAndOutputs = s.outputs()
	f.ModelType = s.model()
	f.FoundationModels = s.base()
	f.OutputAndInputDataTypes = "Input: one picture (PNG, JPEG, TIFF, DICOM or another format that melo reads). " + s.preprocessing() + " Output: " + s.outputs()
	f.DevelopmentDataCharacterization = s.development()
	f.Security = "The adapter is data without code (safetensors). Its identity is the SHA-256 digest that is the version of this card."
	f.Transparency = "Every setting of the training is in the adapter (`melo inspect`). " + s.settings()
	s.metrics(&c.KeyMetrics)
}

// summary is a paragraph on everything.
func (s *Source) summary() string {
	return fmt.Sprintf("%s It answers, for one image, %s. %s %s", s.model(), s.outputs(), s.development(), s.performance())
}

// model says what kind of model it is.
func (s *Source) model() string {
	m := s.Metadata
	what := map[lora.Method]string{lora.MeLo: "Low-rank adapter on a frozen Vision Transformer (MeLo)", lora.LinearOnly: "Linear probe of a frozen Vision Transformer",
		lora.FullTuning: "Fully fine-tuned Vision Transformer"}[m.Method]
	if what == "" {
		what = "Vision Transformer with an adapter"
	}
	var sites []string
	for _, g := range m.Sites {
		where := fmt.Sprintf("%d blocks", len(g.Blocks))
		if g.Pool {
			where = "the attention pooling"
		}
		sites = append(sites, fmt.Sprintf("rank %d beside %s of %s", g.Rank, g.Kind, where))
	}
	if len(sites) > 0 {
		what += ": " + strings.Join(sites, "; ")
	}
	what += fmt.Sprintf("; %s parameters with its head.", text.Count(int64(s.Parameters)))
	if m.Mirror {
		what += " An answer is the mean over the image and its mirror image."
	}
	return what
}

// base names the frozen model.
func (s *Source) base() string {
	b := s.Metadata.Base
	return strings.TrimSpace(fmt.Sprintf("%s, weights %s", b.ID, b.Digest))
}

// outputs says what is answered.
func (s *Source) outputs() string {
	m := s.Metadata
	labels := strings.Join(m.LabelNames(), ", ")
	if m.Exclusive() {
		return fmt.Sprintf("probabilities of the labels %s, which exclude each other", labels)
	}
	return fmt.Sprintf("a probability of each of the labels %s by itself", labels)
}

// decision says how probabilities become decisions.
func (s *Source) decision() string {
	if e := s.Evaluation; e != nil {
		return "Decisions: " + e.Decision.Text + "."
	}
	if len(s.Metadata.Thresholds) == 0 {
		return "The adapter has no thresholds of its own."
	}
	return "Thresholds were chosen on the validation images and are in the adapter."
}

// fit says what is done about images of another kind.
func (s *Source) fit() string {
	f := s.Metadata.Fit
	if f == nil {
		return "the adapter does not recognise them."
	}
	line := fmt.Sprintf("they are marked, at a threshold chosen to mark %.3g %% of images like those of the training.", 100*f.Refusal)
	if e := s.Evaluation; e != nil && e.Fit != nil {
		line += fmt.Sprintf(" Of the images of the evaluation %d of %d were.", e.Fit.Unlike, e.N)
	}
	return line
}

// limits are what the numbers do not show.
func (s *Source) limits() string {
	list := []string{"Not tested prospectively or in use, as far as this card knows."}
	if s.Evaluation == nil {
		list = append(list, "No evaluation was given to this card.")
	} else {
		for _, w := range s.Evaluation.Warnings {
			list = append(list, sentence(w))
		}
	}
	return strings.Join(list, " ")
}

// preprocessing says how an image becomes the input.
func (s *Source) preprocessing() string {
	r := s.Metadata.Recipe
	if r.Size == 0 {
		return "It is prepared as the base's own images are."
	}
	return fmt.Sprintf("It is resized to %d x %d pixels (%s) and normalised with mean %v and standard deviation %v.", r.Size, r.Size, r.Interpolation, r.Mean, r.Std)
}

// development says what the training data was.
func (s *Source) development() string {
	t := s.Metadata.Training
	if t == nil || t.Data == nil {
		return "What it was trained on is not recorded."
	}
	line := fmt.Sprintf("Data set %s (%s): %d images", t.Data.Name, t.Data.Digest, t.Data.Images)
	if p := t.Split; p != nil {
		line += fmt.Sprintf("; %d to train, %d to validate, %d to test; split: %s", p.Train, p.Val, p.Test, p.Rule)
	}
	return line + "."
}

// settings are those of the training.
func (s *Source) settings() string {
	t := s.Metadata.Training
	if t == nil || len(t.Hyperparameters) == 0 {
		return "The settings of the training are not recorded."
	}
	data, err := json.Marshal(t.Hyperparameters)
	if err != nil {
		return "The settings of the training cannot be written here."
	}
	return fmt.Sprintf("Trained by %s, seed %d: `%s`.", t.Program, t.Seed, strings.ReplaceAll(string(data), `,"`, `, "`))
}

// performance is a sentence of numbers.
func (s *Source) performance() string {
	e := s.Evaluation
	if e == nil {
		return "No evaluation was given to this card."
	}
	return fmt.Sprintf("On %s: AUC %s, accuracy %s, expected calibration error %s (95 %% intervals over %ss). %s", s.tested(), number(e.AUC, e.AUCInterval),
		number(e.Accuracy, e.AccuracyInterval), number(e.ECE, e.ECEInterval), e.Bootstrap.Unit, s.seen())
}

// tested says on what the evaluation was made.
func (s *Source) tested() string {
	e := s.Evaluation
	where := "the split " + e.Data.Split + " of other data than the training's, " + e.Data.Path
	if e.Data.Training {
		where = "the split " + e.Data.Split + " of the data of the training"
	}
	return fmt.Sprintf("%d images (%s; %s)", e.N, where, e.Data.Digest)
}

// seen says whether training had seen the images of the evaluation.
func (s *Source) seen() string {
	d := &s.Evaluation.Data
	switch {
	case !d.Training:
		return "Whether images of the training are among these is not known to this card."
	case d.Split == dataset.Test:
		return "These images had no part in training or choice."
	}
	return "Images among these had a part in training or choice: the numbers are too good."
}

// perLabel is a line for each label.
func (s *Source) perLabel() string {
	var list []string
	for _, l := range s.Evaluation.PerLabel {
		list = append(list, fmt.Sprintf("%s (%d positive, %d negative): AUC %s, sensitivity %s, specificity %s", l.Label, l.Positives, l.Negatives, number(l.AUC, l.AUCInterval),
			number(l.Sensitivity, l.SensitivityInterval), number(l.Specificity, l.SpecificityInterval)))
	}
	return strings.Join(list, "; ") + "."
}

// subgroups is a line for each subgroup.
func (s *Source) subgroups() string {
	var list []string
	for _, g := range s.Evaluation.Subgroups {
		line := fmt.Sprintf("%s %s (%d images): AUC %s", g.Column, g.Value, g.N, number(g.AUC, g.AUCInterval))
		if g.Small {
			line += ", too few to rely on"
		}
		list = append(list, line)
	}
	return strings.Join(list, "; ")
}

// metrics are the three groups of numbers.
func (s *Source) metrics(k *KeyMetrics) {
	groups := []*KeyMetric{&k.UsefulnessUsabilityEfficacy, &k.FairnessEquity, &k.SafetyReliability}
	e := s.Evaluation
	if e == nil {
		for _, g := range groups {
			g.Results.MetricResult = []MetricResult{{"none", "null"}}
			g.TestType, g.TestingDataDescription, g.ValidationProcessAndJustification = "none", "No evaluation was given to this card.", "None."
		}
		return
	}
	kind := "internal: " + e.Data.Rule
	if !e.Data.Training {
		kind = "external: data other than the training's"
	}
	for _, g := range groups {
		g.TestType, g.TestingDataDescription = kind, s.tested()
		g.ValidationProcessAndJustification = fmt.Sprintf("%s Intervals: %.0f %%, over %d %ss.", s.seen(), 100*e.Bootstrap.Level, e.Bootstrap.Units, e.Bootstrap.Unit)
	}
	useful := result(nil, "AUC, mean over labels", e.AUC, e.AUCInterval)
	useful = result(useful, "accuracy", e.Accuracy, e.AccuracyInterval)
	for _, l := range e.PerLabel {
		useful = result(useful, "AUC of "+l.Label, l.AUC, l.AUCInterval)
		useful = result(useful, "sensitivity for "+l.Label, l.Sensitivity, l.SensitivityInterval)
		useful = result(useful, "specificity for "+l.Label, l.Specificity, l.SpecificityInterval)
	}
	var fair []MetricResult
	for _, g := range e.Subgroups {
		fair = result(fair, fmt.Sprintf("AUC where %s is %s, %d images", g.Column, g.Value, g.N), g.AUC, g.AUCInterval)
	}
	if fair == nil {
		fair = []MetricResult{{"none: no columns of the data were evaluated by themselves (melo eval --by)", "null"}}
	}
	safe := result(nil, "expected calibration error", e.ECE, e.ECEInterval)
	safe = result(safe, "Brier score", e.Brier, e.BrierInterval)
	if e.Fit != nil {
		safe = append(safe, MetricResult{"share of the images marked as unlike the training's", fmt.Sprintf("%.4g", e.Fit.Share)})
	}
	groups[0].Results.MetricResult, groups[1].Results.MetricResult, groups[2].Results.MetricResult = useful, fair, safe
}

// result adds a number with its interval.
func result(list []MetricResult, label string, v *float64, interval *[2]float64) []MetricResult {
	value := map[string]any{"value": v}
	if interval != nil {
		value["interval95"] = interval
	}
	data, err := json.Marshal(value)
	if err != nil {
		data = []byte("null")
	}
	return append(list, MetricResult{label, string(data)})
}

// number is a value with its interval for people.
func number(v *float64, interval *[2]float64) string {
	switch {
	case v == nil:
		return "not defined"
	case interval == nil:
		return fmt.Sprintf("%.3f", *v)
	}
	return fmt.Sprintf("%.3f (%s)", *v, text.Range(interval[0], interval[1]))
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

// notice is what every document carries.
var notice = sentence(experiment.Notice)
