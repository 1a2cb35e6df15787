package adapterfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxPEFTConfig limits adapter_config.json in bytes. The largest have a pattern for each module.
const maxPEFTConfig = 4 << 20

// peftDoc holds the fields of adapter_config.json that change what the adapter computes.
type peftDoc struct {
	rank           int
	alpha          float64
	rsLoRA         bool
	ranks, alphas  []pattern // rank_pattern and alpha_pattern, in the order of the file
	target         modulesList
	exclude        modulesList
	layers         []int // layers_to_transform; nil: all
	layersPatterns []*regexp.Regexp
	saved          []string // modules_to_save
	baseID         string
	bias           string // "all", "lora_only", "none" or ""
	dora, loraBias bool
	wrap           string // prefix that was removed from tensor names; patterns still refer to names with it

	expressions
}

// A field of adapter_config.json is one of three kinds: peftFields change what the adapter computes,
// peftIgnored do not, and any other must be empty, or the folder is refused and the error names the field.
var peftFields = map[string]func(d *peftDoc, v json.RawMessage) error{
	"peft_type": func(*peftDoc, json.RawMessage) error { return nil }, // checked first
	"bias": func(d *peftDoc, v json.RawMessage) error {
		return errors.Join(mustBe(v, `"none"`, `null`, `"lora_only"`, `"all"`), json.Unmarshal(v, &d.bias))
	},
	"use_dora":          func(d *peftDoc, v json.RawMessage) error { return json.Unmarshal(v, &d.dora) },
	"lora_bias":         func(d *peftDoc, v json.RawMessage) error { return json.Unmarshal(v, &d.loraBias) },
	"init_lora_weights": func(_ *peftDoc, v json.RawMessage) error { return checkInit(v) },
	"r": func(d *peftDoc, v json.RawMessage) error {
		return errors.Join(json.Unmarshal(v, &d.rank), inRange("r", d.rank))
	},
	"lora_alpha":          func(d *peftDoc, v json.RawMessage) error { return json.Unmarshal(v, &d.alpha) },
	"use_rslora":          func(d *peftDoc, v json.RawMessage) error { return json.Unmarshal(v, &d.rsLoRA) },
	"rank_pattern":        func(d *peftDoc, v json.RawMessage) (err error) { d.ranks, err = d.parsePatterns(v); return err },
	"alpha_pattern":       func(d *peftDoc, v json.RawMessage) (err error) { d.alphas, err = d.parsePatterns(v); return err },
	"target_modules":      func(d *peftDoc, v json.RawMessage) (err error) { d.target, err = d.parseModules(v); return err },
	"exclude_modules":     func(d *peftDoc, v json.RawMessage) (err error) { d.exclude, err = d.parseModules(v); return err },
	"layers_to_transform": func(d *peftDoc, v json.RawMessage) (err error) { d.layers, err = oneOrMany[int](v); return err },
	"layers_pattern":      func(d *peftDoc, v json.RawMessage) error { return d.parseLayersPattern(v) },
	"modules_to_save":     func(d *peftDoc, v json.RawMessage) (err error) { d.saved, err = oneOrMany[string](v); return err },
	"base_model_name_or_path": func(d *peftDoc, v json.RawMessage) error {
		return json.Unmarshal(v, &d.baseID)
	},
}

// peftIgnored lists fields about training, initialisation, or the program that wrote them.
var peftIgnored = []string{
	"auto_mapping", "task_type", "revision", "inference_mode", "peft_version", "lora_dropout", "megatron_core",
	"loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size", "ensure_weight_tying", "runtime_config",
}

func parsePEFTConfig(text []byte) (*peftDoc, error) {
	d := &peftDoc{rank: 8, alpha: 8} // PEFT's defaults
	if len(text) > maxPEFTConfig {
		return nil, fmt.Errorf("%d bytes, expected at most %d", len(text), maxPEFTConfig)
	}
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	if err := checkUnique(text); err != nil {
		return nil, err
	}
	if err := checkPEFTType(text); err != nil {
		return nil, err
	}
	err := eachField(text, func(key string, value json.RawMessage) error {
		switch parse, known := peftFields[key]; {
		case known:
			if err := parse(d, value); err != nil {
				return fmt.Errorf("%s: %w", quote(key), err)
			}
		case slices.Contains(peftIgnored, key) || isEmpty(value):
		default:
			return fmt.Errorf("%s is %s, which is not supported; expected plain LoRA", quote(key), shorten(value))
		}
		return nil
	})
	if err == nil && !(math.Abs(d.alpha) < math.MaxFloat32) {
		err = fmt.Errorf("lora_alpha %g", d.alpha)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// otherMethods maps PEFT's methods other than LoRA to their usual names.
var otherMethods = map[string]string{"ADALORA": "AdaLoRA", "LOHA": "LoHa", "LOKR": "LoKr", "VERA": "VeRA", "IA3": "IA3", "OFT": "OFT", "BOFT": "BOFT",
	"PREFIX_TUNING": "prefix tuning", "PROMPT_TUNING": "prompt tuning", "P_TUNING": "P-tuning", "FOURIERFT": "FourierFT", "LN_TUNING": "LayerNorm tuning"}

// checkPEFTType returns an error for methods other than LoRA, before their own fields are checked.
func checkPEFTType(text []byte) error {
	var kind json.RawMessage
	if err := eachField(text, func(key string, value json.RawMessage) error {
		if key == "peft_type" {
			kind = value
		}
		return nil
	}); err != nil {
		return err
	}
	var name string
	switch {
	case kind == nil:
		return errors.New(`peft_type is missing, expected "LORA"`)
	case json.Unmarshal(kind, &name) == nil && name == "LORA":
		return nil
	case otherMethods[name] != "":
		return fmt.Errorf("peft_type %s: is an adapter of %s, which is not supported: only LoRA is", shorten(kind), otherMethods[name])
	}
	return fmt.Errorf("peft_type %s is not supported, expected \"LORA\"", shorten(kind))
}

// eachField calls do with the fields of an object in order. null counts as an empty object.
func eachField(text []byte, do func(key string, value json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	t, err := dec.Token()
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	if t == nil {
		return nil
	}
	if t != json.Delim('{') {
		return errors.New("JSON: expected an object")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return fmt.Errorf("JSON: %w", err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("JSON: %w", err)
		}
		if err := do(key.(string), value); err != nil { // the decoder accepts only strings as keys
			return err
		}
	}
	return nil
}

// isEmpty reports whether the value of an unknown field is empty: null, false, "", [] or {}.
func isEmpty(v json.RawMessage) bool {
	switch text := compact(v); text {
	case "null", "false", `""`, "[]", "{}":
		return true
	}
	return false
}

func compact(v json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, v) != nil {
		return string(v)
	}
	return b.String()
}

// shorten formats a value for a message.
func shorten(v json.RawMessage) string {
	text := compact(v)
	if len(text) > 60 {
		text = text[:60] + "..."
	}
	return strings.ToValidUTF8(text, "")
}

func mustBe(v json.RawMessage, values ...string) error {
	if text := compact(v); !slices.Contains(values, text) {
		return fmt.Errorf("%s is not supported, expected %s", shorten(v), values[0])
	}
	return nil
}

// checkInit returns an error for initialisations that also change the base's weights, and for MiCA, a method of
// its own.
func checkInit(v json.RawMessage) error {
	switch compact(v) {
	case "true", "false", "null", `"gaussian"`, `"eva"`, `"orthogonal"`:
		return nil
	}
	return fmt.Errorf("%s is not supported: it changes the weights of the base, or how LoRA works", shorten(v))
}

func inRange(what string, rank int) error {
	if rank < 1 || rank > maxRank {
		return fmt.Errorf("%s %d, expected 1 to %d", what, rank, maxRank)
	}
	return nil
}

// parsePatterns reads an object {"pattern": number, ...}.
func (x *expressions) parsePatterns(v json.RawMessage) (list []pattern, err error) {
	err = eachField(v, func(key string, value json.RawMessage) error {
		number, err := strconv.ParseFloat(compact(value), 64)
		if err != nil || !(math.Abs(number) < math.MaxFloat32) {
			return fmt.Errorf("%s: %s, expected a number", quote(key), shorten(value))
		}
		if len(list) == maxPatterns {
			return fmt.Errorf("more than %d patterns", maxPatterns)
		}
		p, err := x.compileKey(key, number)
		list = append(list, p)
		return err
	})
	return list, err
}

// parseModules reads a regular expression or a list of names.
func (x *expressions) parseModules(v json.RawMessage) (list modulesList, err error) {
	var text string
	switch {
	case json.Unmarshal(v, &text) != nil:
		list.names, err = oneOrMany[string](v)
		if len(list.names) > maxPatterns {
			err = fmt.Errorf("%d modules, expected at most %d", len(list.names), maxPatterns)
		}
		return list, err
	case text == "all-linear":
		list.all = true
	case text != "":
		list.re, list.err = x.compile(text)
	}
	return list, nil
}

// oneOrMany reads null, a single value, or an array.
func oneOrMany[T any](v json.RawMessage) (list []T, err error) {
	var one *T
	if json.Unmarshal(v, &one) == nil {
		if one != nil {
			list = []T{*one}
		}
		return list, nil
	}
	if err := json.Unmarshal(v, &list); err != nil {
		return nil, fmt.Errorf("%s, expected a value or a list", shorten(v))
	}
	return list, nil
}

func (d *peftDoc) parseLayersPattern(v json.RawMessage) error {
	list, err := oneOrMany[string](v)
	if err != nil {
		return fmt.Errorf("%s, expected a list of names", shorten(v))
	}
	for _, text := range list {
		if text == "" {
			continue
		}
		re, err := d.compile(`(?:|.*?\.)(?:` + text + `)\.(?P<idx>\d+)\..*`)
		if err != nil {
			return fmt.Errorf("pattern %s %w", quote(text), err)
		}
		d.layersPatterns = append(d.layersPatterns, re)
	}
	return nil
}

// anyLayer finds the first number in a path, after at least two components.
var anyLayer = regexp.MustCompile(`^.*?\.[^.]*\.(?P<idx>\d+)\.`)

// adapts reports whether PEFT adds a LoRA to the module at path (check_target_module_exists).
func (d *peftDoc) adapts(path string) bool {
	path = d.wrap + path
	if d.exclude.matches(path) || !d.target.matches(path) {
		return false
	}
	if len(d.layers) == 0 || d.target.re != nil || d.target.all || slices.Contains(d.target.names, path) {
		return true // layers_to_transform applies only to names that occur in several blocks
	}
	list := d.layersPatterns
	if len(list) == 0 {
		list = []*regexp.Regexp{anyLayer}
	}
	for _, re := range list {
		if m := re.FindStringSubmatch(path); m != nil {
			n, err := strconv.Atoi(m[re.SubexpIndex("idx")])
			return err == nil && slices.Contains(d.layers, n)
		}
	}
	return false
}

// knows reports whether the result of adapts is reliable: every expression could be compiled.
func (d *peftDoc) knows() bool {
	return d.target.err == nil && d.exclude.err == nil && !d.target.empty()
}

// saves reports whether modules_to_save contains the module at path.
func (d *peftDoc) saves(path string) bool {
	path = d.wrap + path
	return slices.ContainsFunc(d.saved, func(name string) bool { return name != "" && strings.HasSuffix(path, name) })
}
