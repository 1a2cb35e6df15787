package oip

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonValue is the text of one valid JSON value, as a view of a request. Nothing is decoded before it is
// needed, so that a document of millions of values takes no more memory than its text.
type jsonValue []byte

// maxParameters limits the fields of "parameters".
const maxParameters = 64

// newJSON checks that data is one JSON value.
func newJSON(data []byte) (jsonValue, error) {
	if !json.Valid(data) {
		return nil, invalidJSON(data)
	}
	if !utf8.Valid(data) { // encoding/json would replace the bytes without a word
		return nil, Faultf(Invalid, "the request is not UTF-8, as JSON must be")
	}
	return jsonValue(bytes.TrimSpace(data)), nil
}

// invalidJSON returns an error with the position of the first syntax error.
func invalidJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := d.Token(); err != nil {
			return Faultf(Invalid, "the request is not the JSON that the protocol asks for: at byte %d: %s", d.InputOffset(), Clean(err.Error()))
		}
		if d.InputOffset() >= int64(len(bytes.TrimSpace(data))) {
			return Faultf(Invalid, "the request is not the JSON that the protocol asks for: it is more than one value")
		}
	}
}

// end returns the length of the value at the beginning of valid JSON.
func (v jsonValue) end() int {
	depth := 0
	for i := 0; i < len(v); {
		switch v[i] {
		case '"':
			i += v[i:].quoted()
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		default:
			if strings.IndexByte(" \t\r\n,:", v[i]) >= 0 {
				i++
				continue
			}
			for i < len(v) && strings.IndexByte(" \t\r\n,:]}", v[i]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
	return len(v)
}

// quoted returns the length of the string at the beginning.
func (v jsonValue) quoted() int {
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(v)
}

// next returns the first value inside an object or an array, and what follows it.
func (v jsonValue) next() (first, rest jsonValue) {
	i := 0
	for i < len(v) && strings.IndexByte(" \t\r\n,:", v[i]) >= 0 {
		i++
	}
	v = v[i:]
	n := v.end()
	return v[:n:n], v[n:]
}

// inside returns the text between the brackets.
func (v jsonValue) inside() jsonValue { return v[1 : len(v)-1] }

func (v jsonValue) is(first byte) bool { return len(v) > 0 && v[0] == first }

func (v jsonValue) null() bool { return len(v) == 0 || v[0] == 'n' }

// fields returns the fields of an object. Of duplicate names the last value counts.
func (v jsonValue) fields() (iter.Seq2[string, jsonValue], error) {
	if !v.is('{') {
		return nil, Faultf(Invalid, "the request is not the JSON that the protocol asks for: found %s, expected an object", v.kind())
	}
	return func(yield func(string, jsonValue) bool) {
		for rest := v.inside(); ; {
			var key, value jsonValue
			if key, rest = rest.next(); len(key) == 0 {
				return
			}
			value, rest = rest.next()
			if value.null() {
				value = nil
			}
			name, _ := key.text("") // it is a string
			if !yield(name, value) {
				return
			}
		}
	}, nil
}

// members calls use for the fields of an object, until one fails.
func (v jsonValue) members(use func(name string, v jsonValue) error) error {
	fields, err := v.fields()
	if err != nil {
		return err
	}
	for name, value := range fields {
		if err := use(name, value); err != nil {
			return err
		}
	}
	return nil
}

// each calls use for the elements of an array, until one fails. A missing array is empty.
func (v jsonValue) each(what string, use func(jsonValue) error) error {
	if v.null() {
		return nil
	}
	if !v.is('[') {
		return Faultf(Invalid, "%s: found %s, expected an array", what, v.kind())
	}
	for rest := v.inside(); ; {
		var x jsonValue
		if x, rest = rest.next(); len(x) == 0 {
			return nil
		}
		if err := use(x); err != nil {
			return err
		}
	}
}

// leaves returns the elements of possibly nested arrays in order: numbers, strings and other values.
func (v jsonValue) leaves() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := 0; i < len(v); {
			if strings.IndexByte("[], \t\r\n", v[i]) >= 0 {
				i++
				continue
			}
			n := v[i:].end()
			if !yield(v[i : i+n : i+n]) {
				return
			}
			i += n
		}
	}
}

// bytes returns the decoded string.
func (v jsonValue) bytes() ([]byte, error) {
	if !v.is('"') {
		return nil, Faultf(Invalid, "found %s, expected a string", v.kind())
	}
	if s := v[1 : len(v)-1]; bytes.IndexByte(s, '\\') < 0 {
		return bytes.ToValidUTF8(s, []byte("\uFFFD")), nil
	}
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		return nil, Faultf(Invalid, "%s", Clean(err.Error()))
	}
	return []byte(s), nil
}

// text returns a string; a missing one is empty.
func (v jsonValue) text(what string) (string, error) {
	if v.null() {
		return "", nil
	}
	s, err := v.bytes()
	if err != nil {
		return "", Faultf(Invalid, "%s: %v", what, err)
	}
	return string(s), nil
}

// integers returns an array of at most limit integers.
func (v jsonValue) integers(what string, limit int) (list []int64, err error) {
	err = v.each(what, func(x jsonValue) error {
		n, err := strconv.ParseInt(string(x[:min(len(x), 32)]), 10, 64)
		if err != nil || len(x) > 32 {
			return Faultf(Invalid, "%s: element %d is %s, expected an integer", what, len(list), clip(string(x)))
		}
		if len(list) == limit {
			return Faultf(Invalid, "%s: more than %d integers", what, limit)
		}
		list = append(list, n)
		return nil
	})
	return list, err
}

// parameters returns the fields of "parameters".
func (v jsonValue) parameters() (parameters, error) {
	if v.null() {
		return nil, nil
	}
	if !v.is('{') {
		return nil, Faultf(Invalid, "parameters: found %s, expected an object", v.kind())
	}
	p := parameters{}
	fields, err := v.fields()
	if err != nil {
		return nil, err
	}
	for name, value := range fields {
		if value == nil {
			continue
		}
		p[name] = value
		if len(p) > maxParameters {
			return nil, Faultf(Invalid, "parameters: more than %d", maxParameters)
		}
	}
	return p, nil
}

// kind names the type of a value, for messages.
func (v jsonValue) kind() string {
	switch {
	case v.null():
		return "null"
	case v.is('{'):
		return "an object"
	case v.is('['):
		return "an array"
	case v.is('"'):
		return "a string"
	case v.is('t'), v.is('f'):
		return "a truth value"
	}
	return "a number"
}
