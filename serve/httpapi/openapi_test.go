package httpapi

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"melo.example/melo/serve/oip"
	"melo.example/melo/serve/servetest"
)

// conforms reports the first place where v is not what a schema of the document says. It knows the words that the
// document uses, and fails on others.
func conforms(doc, schema object, v any, at string) error {
	if ref, ok := schema["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		target, ok := doc["components"].(object)["schemas"].(object)[name].(object)
		if !ok {
			return fmt.Errorf("%s: reference to %s, which there is not", at, ref)
		}
		return conforms(doc, target, v, at)
	}
	for word := range schema {
		if !slices.Contains([]string{"type", "description", "enum", "items", "properties", "required", "additionalProperties", "contentMediaType",
			"minItems", "maxItems", "minimum", "maximum", "minLength"}, word) {
			return fmt.Errorf("%s: the schema has the word %q, which the test does not know", at, word)
		}
	}
	if values, ok := schema["enum"].([]any); ok && !slices.Contains(values, v) {
		return fmt.Errorf("%s: %v is none of %v", at, v, values)
	}
	ok := true
	switch schema["type"] {
	case nil:
	case "string":
		_, ok = v.(string)
	case "boolean":
		_, ok = v.(bool)
	case "number":
		_, ok = v.(float64)
	case "integer":
		n, number := v.(float64)
		ok = number && n == math.Trunc(n)
	case "array":
		list, array := v.([]any)
		if ok = array; ok {
			for i, x := range list {
				if err := conforms(doc, schema["items"].(object), x, fmt.Sprintf("%s[%d]", at, i)); err != nil {
					return err
				}
			}
		}
	case "object":
		return objectConforms(doc, schema, v, at)
	default:
		return fmt.Errorf("%s: the schema has the type %v", at, schema["type"])
	}
	if !ok {
		return fmt.Errorf("%s: %v is no %v", at, v, schema["type"])
	}
	size, bounds := 0.0, []string{"minimum", "maximum"}
	switch x := v.(type) {
	case []any:
		size, bounds = float64(len(x)), []string{"minItems", "maxItems"}
	case string:
		size, bounds = float64(len(x)), []string{"minLength", "maxLength"}
	case float64:
		size = x
	}
	if low, ok := schema[bounds[0]].(float64); ok && size < low {
		return fmt.Errorf("%s: %v is below %v", at, v, low)
	}
	if high, ok := schema[bounds[1]].(float64); ok && size > high {
		return fmt.Errorf("%s: %v is above %v", at, v, high)
	}
	return nil
}

func objectConforms(doc, schema object, v any, at string) error {
	m, ok := v.(object)
	if !ok {
		return fmt.Errorf("%s: %v is no object", at, v)
	}
	properties, _ := schema["properties"].(object)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := m[name.(string)]; !ok {
			return fmt.Errorf("%s: %s is missing", at, name)
		}
	}
	for key, x := range m {
		inner, ok := properties[key].(object)
		if !ok {
			if schema["additionalProperties"] == true {
				continue
			}
			if inner, ok = schema["additionalProperties"].(object); !ok {
				return fmt.Errorf("%s: has %q, which the document does not", at, key)
			}
		}
		if err := conforms(doc, inner, x, at+"."+key); err != nil {
			return err
		}
	}
	return nil
}

func TestOpenAPIHasEveryRoute(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	var doc object
	d.json(get, "/openapi.json", nil, 200, &doc)
	names := map[string]bool{}
	count := 0
	for path, item := range doc["paths"].(object) {
		for method, op := range item.(object) {
			count++
			name := op.(object)["operationId"].(string)
			if names[name] {
				t.Errorf("two operations %s", name)
			}
			names[name] = true
			if !slices.ContainsFunc(Routes(), func(r Route) bool {
				return r.Path == path && strings.ToLower(r.Method) == method && r.Name == name
			}) {
				t.Errorf("%s %s is no route", method, path)
			}
		}
	}
	if count != len(Routes()) {
		t.Errorf("%d operations, %d routes", count, len(Routes()))
	}
}

func TestAnswersConformToOpenAPI(t *testing.T) {
	d := newDoor(t, oip.Limits{})
	var doc object
	d.json(get, "/openapi.json", nil, 200, &doc)
	response := func(method, path, status string) object {
		return doc["paths"].(object)[path].(object)[strings.ToLower(method)].(object)["responses"].(object)[status].(object)["content"].(object)["application/json"].(object)["schema"].(object)
	}
	check := func(method, path, status string, answer []byte) {
		t.Helper()
		var v any
		if err := json.Unmarshal(answer, &v); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, answer)
		}
		if err := conforms(doc, response(method, path, status), v, "answer"); err != nil {
			t.Errorf("%s %s: %v: %s", method, path, err, answer)
		}
	}
	for _, route := range Routes() {
		if route.Method != get || route.response == nil {
			continue
		}
		path := strings.NewReplacer("{model}", "findings", "{version}", "current-is-a-digest", "{adapter}", "view").Replace(route.Path)
		if strings.Contains(route.Path, "{version}") {
			path = strings.ReplaceAll(path, "current-is-a-digest", d.want("findings", servetestInput()).Digest)
		}
		r, answer := d.do(get, path, nil, nil)
		if r.StatusCode != 200 {
			t.Errorf("%s: status %d: %s", path, r.StatusCode, answer)
			continue
		}
		if route.Name != "OpenAPI" {
			check(get, route.Path, "200", answer)
		}
	}
	_, answer := d.do(post, "/v2/repository/index", nil, nil)
	check(post, "/v2/repository/index", "200", answer)
	_, answer = d.do(post, "/v2/models/view/infer", nil, inferBody(t, servetest.Tensor(1), 1))
	check(post, oneModel+"/infer", "200", answer)
	_, answer = d.do(post, "/v2/models/view/infer", nil, nil)
	check(post, oneModel+"/infer", "default", answer)
	_, answer = d.sendForm("image", servetest.PNG(t, 1, 9, 9), "image", []byte("x"), "adapter", "all", "adapter", "nobody")
	check(post, "/v1/predict", "200", answer)
}

// The validator must be able to say no.
func TestConformsRefuses(t *testing.T) {
	doc := object{"components": object{"schemas": object{"A": object{"type": "object", "additionalProperties": false, "required": []any{"n"},
		"properties": object{"n": object{"type": "integer"}, "list": object{"type": "array", "items": object{"type": "string", "enum": []any{"x"}}}}}}}}
	schema := object{"$ref": "#/components/schemas/A"}
	for text, ok := range map[string]bool{
		`{"n":1}`: true, `{"n":1,"list":["x"]}`: true,
		`{}`: false, `{"n":1.5}`: false, `{"n":"1"}`: false, `{"n":1,"m":2}`: false, `{"n":1,"list":["y"]}`: false, `{"n":1,"list":[1]}`: false, `[]`: false, `null`: false,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := conforms(doc, schema, v, "x"); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}
