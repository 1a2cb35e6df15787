package httpapi

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/serve/oip"
)

// form holds the images that a person sends, and the adapters to apply.
type form struct {
	images   []oip.Encoded
	files    []string // their names, as given by the client
	adapters []string
	all      bool
	seen     map[string]bool   // adapters
	fields   int               // that name them
	coverage float64           // of the sets of labels; 0: as the server has it
	page     int               // of every image
	more     map[string]string // further fields, by name; those that there may be have an entry
}

// maxAdapterField limits the length of a name.
const maxAdapterField = 512

// boundary returns the boundary of a multipart form.
func boundary(r *http.Request) (string, error) {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" || parameters["boundary"] == "" {
		return "", oip.NewFault(oip.Invalid, "expected a form of type multipart/form-data with fields image and adapter")
	}
	return parameters["boundary"], nil
}

// parseForm reads a form within limits. Beside images, adapters and a frame it may have the further fields, each once.
func parseForm(body io.Reader, boundary string, limits oip.Limits, further ...string) (*form, error) {
	f := &form{seen: map[string]bool{}, more: map[string]string{}}
	for _, name := range further {
		f.more[name] = ""
	}
	parts := multipart.NewReader(body, boundary)
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, formFault(err)
		}
		if err := f.add(part, limits); err != nil {
			return nil, err
		}
	}
	if len(f.images) == 0 {
		return nil, oip.NewFault(oip.Invalid, "the form has no field image")
	}
	for i := range f.images {
		f.images[i].Page = f.page
	}
	return f, nil
}

// add adds one part of the form.
func (f *form) add(part *multipart.Part, limits oip.Limits) error {
	switch name := part.FormName(); name {
	case "image":
		if len(f.images) == limits.Rows {
			return oip.NewFault(oip.TooLarge, fmt.Sprintf("more than %d images", limits.Rows))
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return formFault(err)
		}
		i := len(f.images)
		f.images = append(f.images, oip.Encoded{Name: fmt.Sprintf("image %d", i), Data: data})
		f.files = append(f.files, fileName(part.FileName()))
	case "adapter":
		if f.fields++; f.fields > limits.Answers {
			return oip.NewFault(oip.TooLarge, fmt.Sprintf("more than %d adapters", limits.Answers))
		}
		text, err := short(part, name)
		if err != nil {
			return err
		}
		if adapter := strings.TrimSpace(text); adapter == "all" {
			f.all = true
		} else if !f.seen[adapter] { // duplicates are ignored
			f.seen[adapter] = true
			f.adapters = append(f.adapters, adapter)
		}
	case "coverage":
		return f.setCoverage(part)
	case "frame":
		n, err := number(part, name, 1)
		if err != nil {
			return err
		}
		f.page = n - 1
	default:
		if was, may := f.more[name]; !may || was != "" {
			return oip.NewFault(oip.Invalid, fmt.Sprintf("the form has the field %.40q, or has it twice; expected %s", name, f.expected()))
		}
		text, err := short(part, name)
		if err != nil {
			return err
		}
		f.more[name] = text
	}
	return nil
}

// setCoverage reads the field of that name.
func (f *form) setCoverage(part io.Reader) error {
	const longest = 32
	text, err := io.ReadAll(io.LimitReader(part, longest+1))
	if err != nil {
		return formFault(err)
	}
	if f.coverage != 0 {
		return oip.NewFault(oip.Invalid, "the form has the field coverage twice")
	}
	number := strings.TrimSpace(string(text))
	if f.coverage, err = strconv.ParseFloat(number, 64); err != nil || len(text) > longest || strings.Trim(number, "0123456789.eE+-") != "" {
		return oip.NewFault(oip.Invalid, fmt.Sprintf("coverage is %.40q, expected a number", number))
	}
	return oip.CheckCoverage(f.coverage)
}

// expected lists the fields that the form may have.
func (f *form) expected() string {
	names := slices.Sorted(maps.Keys(f.more))
	return strings.Join(append([]string{"image", "adapter", "coverage", "frame"}, names...), ", ")
}

// short reads a field that is a short text.
func short(part *multipart.Part, name string) (string, error) {
	text, err := io.ReadAll(io.LimitReader(part, maxAdapterField+1))
	if err != nil {
		return "", formFault(err)
	}
	if len(text) > maxAdapterField {
		return "", oip.NewFault(oip.Invalid, fmt.Sprintf("the field %s is too long", name))
	}
	return string(text), nil
}

// maxNumber bounds the numbers of forms: frames, patches.
const maxNumber = 1 << 20

// number reads a field that is a number of at least low.
func number(part *multipart.Part, name string, low int) (int, error) {
	text, err := short(part, name)
	if err != nil {
		return 0, err
	}
	return parseNumber(text, name, low)
}

func parseNumber(text, name string, low int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > maxNumber {
		return 0, oip.NewFault(oip.Invalid, fmt.Sprintf("%s: found %.40q, expected %d to %d", name, text, low, maxNumber))
	}
	return n, nil
}

// formFault says why a form could not be read.
func formFault(err error) error {
	var fault *oip.Fault
	if errors.As(err, &fault) {
		return fault
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return oip.NewFault(oip.Invalid, "the form ends early")
	}
	return oip.NewFault(oip.Invalid, "the form cannot be read: "+err.Error())
}

// fileName returns the name of a file without folders, for the answer.
func fileName(s string) string {
	const longest = 255
	s = strings.ToValidUTF8(filepath.Base(strings.ReplaceAll(s, `\`, "/")), "?")
	if s == "." || s == "/" {
		return ""
	}
	return s[:min(len(s), longest)]
}
