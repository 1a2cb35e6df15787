package oip

import (
	"encoding/base64"
	"iter"
	"strings"
)

// filePrefix starts the names of load parameters that are files.
const filePrefix = "file:"

// fileVersion returns the version in a parameter name "file:VERSION/NAME"; "" for the current one.
func fileVersion(key string) (string, error) {
	version, name, ok := strings.Cut(strings.TrimPrefix(key, filePrefix), "/")
	if !ok || name == "" || strings.Contains(name, "/") {
		return "", Faultf(Invalid, "parameter %q: expected file:VERSION/NAME", clip(key))
	}
	if version == "1" {
		version = ""
	}
	return version, nil
}

// sent holds the files of a load request.
type sent struct {
	version             string // "": the current one
	adapter, signatures []byte
}

// signatureEnd is the extension of a signature file.
const signatureEnd = ".sig"

// sentFiles returns the adapter and the signatures among the files of a load request, if any.
func sentFiles(files map[string][]byte) (f sent, err error) {
	versions := map[string]bool{}
	for key, data := range files {
		if f.version, err = fileVersion(key); err != nil {
			return f, err
		}
		versions[f.version] = true
		into := &f.adapter
		if strings.HasSuffix(key, signatureEnd) {
			into = &f.signatures
		}
		if *into != nil {
			return f, Faultf(Invalid, "%d files, expected an adapter and its signatures (a name that ends in %s)", len(files), signatureEnd)
		}
		if *into = data; data == nil {
			*into = []byte{}
		}
	}
	switch {
	case len(versions) > 1:
		return f, NewFault(Invalid, "the adapter and its signatures are of different versions")
	case f.signatures != nil && f.adapter == nil:
		return f, NewFault(Invalid, "signatures without an adapter")
	}
	return f, nil
}

// ParseLoad parses the body of a REST load request and returns the files in it. "config", Triton's model
// configuration, is accepted and ignored, because an adapter file describes itself.
func (c *Codec) ParseLoad(body []byte) (map[string][]byte, error) {
	p, err := parseParameters(body)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for key, raw := range p {
		if !strings.HasPrefix(key, filePrefix) {
			if key != "config" {
				return nil, Faultf(Invalid, "parameter %q: expected config or file:VERSION/NAME", clip(key))
			}
			continue
		}
		text, err := jsonValue(raw).bytes()
		if err != nil {
			return nil, Faultf(Invalid, "parameter %q: expected a string of base64", clip(key))
		}
		if int64(base64.StdEncoding.DecodedLen(len(text))) > c.limits.Adapter+3 {
			return nil, Faultf(TooLarge, "parameter %q: the limit of an adapter file is %d bytes", clip(key), c.limits.Adapter)
		}
		data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Decode(data, text)
		if err != nil {
			return nil, Faultf(Invalid, "parameter %q: %v", clip(key), err)
		}
		data = data[:n]
		files[key] = data
	}
	return files, nil
}

// ParseUnload parses the body of a REST unload request. "unload_dependents" is ignored, because adapters do not
// depend on each other.
func (c *Codec) ParseUnload(body []byte) error {
	p, err := parseParameters(body)
	for key := range p {
		if key != "unload_dependents" {
			return Faultf(Invalid, "parameter %q: expected unload_dependents", clip(key))
		}
	}
	return err
}

// ParseIndex parses the body of a REST index request and reports whether only available adapters are requested.
func (c *Codec) ParseIndex(body []byte) (ready bool, err error) {
	fields, err := objectOf(body)
	if err != nil {
		return false, err
	}
	p := parameters{}
	for name, v := range fields {
		if name == "ready" {
			p[name] = v
		}
	}
	return p.boolean("ready", false)
}

// parseParameters returns the "parameters" of a body; an empty body has none.
func parseParameters(body []byte) (p parameters, err error) {
	fields, err := objectOf(body)
	if err != nil {
		return nil, err
	}
	for name, v := range fields {
		if name == "parameters" {
			if p, err = v.parameters(); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// objectOf returns the fields of a body that is an object or empty.
func objectOf(body []byte) (iter.Seq2[string, jsonValue], error) {
	if len(body) == 0 {
		return func(func(string, jsonValue) bool) {}, nil
	}
	doc, err := newJSON(body)
	if err != nil {
		return nil, err
	}
	return doc.fields()
}
