package httpapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"melo.example/melo/serve/oip"
)

func openAPI(a *api, w http.ResponseWriter, _ *http.Request) error {
	write(w, http.StatusOK, "application/json", a.openapi, a.Write)
	return nil
}

type object = map[string]any

// document generates the OpenAPI document from the routes and the types of their bodies.
func document(s *oip.Service) []byte {
	d := &schemas{known: object{}}
	paths := object{}
	for _, r := range routes {
		item, _ := paths[r.Path].(object)
		if item == nil {
			item = object{}
			paths[r.Path] = item
		}
		item[strings.ToLower(r.Method)] = d.operation(r)
	}
	doc := object{
		"openapi": "3.1.0",
		"info": object{
			"title": "melo", "version": s.ServerMetadata().Version,
			"description": "Adapters beside one Vision Transformer, switched per request. " + strings.ToUpper(oip.Notice[:1]) + oip.Notice[1:] + ".",
		},
		"paths":      paths,
		"components": object{"schemas": d.known, "securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer"}}},
	}
	body, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		panic(err) // cannot fail: it consists of strings and maps
	}
	return body
}

// schemas collects the schemas of types by name.
type schemas struct{ known object }

// operation describes a route.
func (d *schemas) operation(r Route) object {
	op := object{"operationId": r.Name, "summary": r.Summary, "x-role": string(r.Role)}
	if r.Role != oip.Public {
		op["security"] = []any{object{}, object{"bearer": []any{}}} // open servers require none
	}
	if p := parametersOf(r); len(p) > 0 {
		op["parameters"] = p
	}
	if r.request != nil {
		media := r.media
		if media == "" {
			media = "application/json"
		}
		op["requestBody"] = object{"required": !optionalBody[reflect.TypeOf(r.request)], "content": object{media: object{"schema": d.of(reflect.TypeOf(r.request))}}}
	}
	ok := object{"description": "Done."}
	if r.response != nil {
		media := r.produces
		if media == "" {
			media = "application/json"
		}
		ok["content"] = object{media: object{"schema": d.of(reflect.TypeOf(r.response))}}
	}
	failed := object{"description": "Failed.", "content": object{"application/json": object{"schema": d.of(reflect.TypeOf(errorDocument{}))}}}
	responses := object{"200": ok, "default": failed}
	for _, status := range r.also {
		responses[strconv.Itoa(status)] = ok
	}
	op["responses"] = responses
	return op
}

// constrain adds the rules in a tag to a schema: "minItems=1,maximum=5", and "items.minimum=1" for the elements
// of an array. Values that are not numbers are strings, such as a pattern.
func constrain(schema object, rules string) {
	for _, rule := range strings.Split(rules, ",") {
		key, value, _ := strings.Cut(rule, "=")
		to := schema
		if inner, ok := strings.CutPrefix(key, "items."); ok {
			key, to = inner, schema["items"].(object)
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			to[key] = n
		} else {
			to[key] = value
		}
	}
}

// optionalBody lists the bodies that may be absent.
var optionalBody = map[reflect.Type]bool{
	reflect.TypeFor[indexRequest](): true, reflect.TypeFor[loadRequest](): true, reflect.TypeFor[unloadRequest](): true,
}

// parametersOf lists the path and query parameters.
func parametersOf(r Route) []any {
	var list []any
	for _, part := range strings.Split(r.Path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			list = append(list, object{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	for _, name := range r.query {
		schema := object{"type": "string"}
		if name == "limit" {
			schema = object{"type": "integer", "minimum": 1, "maximum": defaultCards}
		}
		list = append(list, object{"name": name, "in": "query", "schema": schema})
	}
	return list
}

// of returns the schema of a type; structs are referred to by name.
func (d *schemas) of(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Pointer:
		return d.of(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": d.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.of(t.Elem())}
	case reflect.Interface:
		return object{} // anything
	case reflect.Struct:
		return d.structure(t)
	}
	return object{"type": "integer"} // no other kinds occur
}

// ignores lists the bodies whose unknown fields are ignored, as the Open Inference Protocol requires.
var ignores = map[reflect.Type]bool{
	reflect.TypeFor[indexRequest](): true, reflect.TypeFor[loadRequest](): true, reflect.TypeFor[unloadRequest](): true,
	reflect.TypeFor[inferRequest](): true, reflect.TypeFor[inferTensor](): true, reflect.TypeFor[inferWanted](): true,
}

func (d *schemas) structure(t reflect.Type) object {
	if t == reflect.TypeFor[adapterFiles]() {
		return object{"type": "object", "additionalProperties": false, "properties": object{"config": object{"type": "string"}},
			"patternProperties": object{"^file:[^/]*/[^/]+$": object{"type": "string", "contentEncoding": "base64"}}}
	}
	if t == reflect.TypeFor[file]() {
		return object{"type": "string", "contentMediaType": "application/octet-stream"}
	}
	if t.Name() == "" { // an empty struct is an object without fields
		return object{"type": "object", "additionalProperties": false}
	}
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	reference := object{"$ref": "#/components/schemas/" + name}
	if _, ok := d.known[name]; ok {
		return reference
	}
	schema, properties, required := object{"type": "object", "additionalProperties": ignores[t]}, object{}, []string{}
	d.known[name] = schema // before its fields, which may refer to it
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" || key == "-" {
			continue
		}
		p := d.of(f.Type)
		if doc := f.Tag.Get("doc"); doc != "" {
			p["description"] = doc
		}
		if rules := f.Tag.Get("schema"); rules != "" {
			constrain(p, rules)
		}
		if values := f.Tag.Get("enum"); values != "" {
			p["enum"] = strings.Split(values, ",")
		}
		properties[key] = p
		if !strings.Contains(options, "omit") {
			required = append(required, key)
		}
	}
	schema["properties"], schema["required"] = properties, required
	return reference
}
