// Package deidentify removes what identifies a patient from DICOM objects, according to the basic application
// level confidentiality profile of PS3.15 (table E.1-1, edition 2026c) and some of its options.
//
// Identifiers and UIDs become keyed digests (HMAC-SHA-256). The same key gives the same digests, so that
// objects of a patient, a study and a series stay together. Private elements, overlays and curves are removed.
// So is every element with a person's name, an address or free text that the table does not list.
//
// Pixels are not changed. Objects whose pixels may show a name are refused unless the caller vouches for them:
// those that declare it, secondary captures, ultrasound and scanned documents. A face can be reconstructed from
// a head scan; this package does not prevent that.
package deidentify

import (
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base32"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"sync"

	"melo.example/melo/dicom"
)

// ErrPixels is wrapped by errors about objects whose pixels may identify somebody.
var ErrPixels = errors.New("its pixels may show who it is")

// Options selects what is retained. The zero value is the basic profile without options.
type Options struct {
	// key of the digests, at least 16 bytes. Whoever has it can test whether an object belongs to a patient
	// they know
	Key []byte

	KeepUIDs    bool // retain UIDs
	KeepDates   bool // retain longitudinal temporal information with full dates
	KeepPatient bool // retain patient characteristics: sex, age, size, weight, ethnic group, smoking, pregnancy
	KeepDevice  bool // retain device identity: manufacturer's serial numbers, station names
	PixelsClean bool // the caller has checked that no pixels show a name
}

// Report counts the changes to an object.
type Report struct {
	Removed  int // removed elements
	Emptied  int
	Replaced int // elements replaced by dummy values or digests
}

// File returns a copy of an object without what identifies its patient.
func File(f *dicom.File, opt Options) (*dicom.File, Report, error) {
	if len(opt.Key) < 16 {
		return nil, Report{}, fmt.Errorf("deidentify: a key of %d bytes, expected at least 16", len(opt.Key))
	}
	if err := pixels(f.Data); err != nil && !opt.PixelsClean {
		return nil, Report{}, err
	}
	w := &worker{opt: opt}
	data, err := w.dataSet(f.Data)
	if err != nil {
		return nil, Report{}, err
	}
	data = data.Replaced(append(data.Elements(), w.marks(data)...))
	out := &dicom.File{Syntax: f.Syntax, Data: data, Meta: f.Meta.Replaced([]dicom.Element{
		{Tag: 0x00020001, VR: "OB", Value: []byte{0, 1}},
		dicom.NewText(dicom.MediaStorageSOPClassUID, "UI", data.Text(dicom.SOPClassUID)),
		dicom.NewText(dicom.MediaStorageSOPInstanceUID, "UI", data.Text(dicom.SOPInstanceUID)),
		dicom.NewText(0x00020012, "UI", implementation),
	})}
	return out, w.report, nil
}

// implementation is the UID of this implementation, derived from a random UUID (PS3.5, B.2).
const implementation = "2.25.148062273164037385027137236178046520621"

// pixels returns an error for objects whose pixels may show a name.
func pixels(d *dicom.DataSet) error {
	class := dicom.UID(d.Text(dicom.SOPClassUID))
	switch {
	case strings.EqualFold(d.Text(dicom.BurnedInAnnotation), "YES"):
		return fmt.Errorf("deidentify: burned-in annotation: %w", ErrPixels)
	case d.Text(dicom.BurnedInAnnotation) == "NO":
		return nil
	case strings.HasPrefix(string(class), "1.2.840.10008.5.1.4.1.1.7"):
		return fmt.Errorf("deidentify: a secondary capture: %w", ErrPixels)
	case d.Text(dicom.Modality) == "US":
		return fmt.Errorf("deidentify: ultrasound: %w", ErrPixels)
	case d.Text(dicom.ConversionType) != "":
		return fmt.Errorf("deidentify: converted from another source (%s): %w", d.Text(dicom.ConversionType), ErrPixels)
	case d.Find(dicom.PixelData) == nil && d.Find(0x00420011) != nil:
		return fmt.Errorf("deidentify: an encapsulated document: %w", ErrPixels)
	}
	return nil
}

// worker processes one object.
type worker struct {
	opt    Options
	report Report
}

// dataSet processes the elements of a data set, including those inside sequences.
func (w *worker) dataSet(d *dicom.DataSet) (*dicom.DataSet, error) {
	var kept []dicom.Element
	for _, e := range d.Elements() {
		out, keep, err := w.element(d, e)
		if err != nil {
			return nil, err
		}
		if keep {
			kept = append(kept, out)
		} else {
			w.report.Removed++
		}
	}
	return d.Replaced(kept), nil
}

// element processes one element according to the table, or, if the table does not list it, according to its VR.
func (w *worker) element(d *dicom.DataSet, e dicom.Element) (out dicom.Element, keep bool, err error) {
	if e.Tag.Private() || e.Tag.Element() == 0 {
		return e, false, nil
	}
	action := w.action(e)
	switch action {
	case "X":
		return e, false, nil
	case "Z":
		w.report.Emptied++
		return emptied(e), true, nil
	case "D":
		w.report.Replaced++
		return w.dummy(d, e), true, nil
	case "U":
		if e.VR != "UI" { // an unexpected VR: its content is unknown
			return e, false, nil
		}
		w.report.Replaced++
		return w.uids(d, e), true, nil
	}
	if e.VR != "SQ" {
		return e, true, nil
	}
	items := make([]*dicom.DataSet, 0, len(e.Items))
	for _, item := range e.Items {
		clean, err := w.dataSet(item)
		if err != nil {
			return e, false, err
		}
		items = append(items, clean)
	}
	e.Items = items
	return e, true, nil
}

// action returns what is done to an element: X, Z, D, U, or K if it is retained.
func (w *worker) action(e dicom.Element) string {
	action, known := lookUp(e.Tag)
	if w.kept(e) {
		return "K"
	}
	switch action {
	case "X", "Z", "D", "U":
	case "X/Z":
		action = "Z"
	case "Z/D", "X/D", "X/Z/D":
		action = "D"
	case "X/Z/U*":
		action = "K" // the sequence is retained; the UIDs in it are replaced
		if e.VR != "SQ" {
			action = "X"
		}
	}
	if known {
		return action
	}
	switch e.VR {
	case "PN", "LT", "UT", "UR", "AE":
		return "X" // names, free text and locations that the table does not list
	case "UN":
		return "X" // unknown content
	case "OB", "OW":
		if e.Tag.Group() >= 0x5000 && e.Tag.Group() <= 0x50FF {
			return "X"
		}
	}
	return "K"
}

// patientTags and deviceTags are retained by two of the options (table E.1-1, columns for patient
// characteristics and device identity). Elements of free text are excluded.
var (
	patientTags = map[dicom.Tag]bool{0x00100040: true, 0x00101010: true, 0x00101020: true, 0x00101021: true, 0x00101022: true,
		0x00101023: true, 0x00101024: true, 0x00101030: true, 0x00102160: true, 0x001021A0: true, 0x001021C0: true, 0x00102203: true}
	deviceTags = map[dicom.Tag]bool{0x00081010: true, 0x00181000: true, 0x00181002: true, 0x00181004: true, 0x00181005: true,
		0x00181007: true, 0x00181008: true, 0x0018700A: true, 0x001811BB: true, 0x00189371: true, 0x00189373: true}
)

func (w *worker) kept(e dicom.Element) bool {
	switch {
	case w.opt.KeepUIDs && e.VR == "UI",
		w.opt.KeepPatient && patientTags[e.Tag],
		w.opt.KeepDevice && deviceTags[e.Tag]:
		return true
	case w.opt.KeepDates && e.Tag != dicom.PatientBirthDate:
		return e.VR == "DA" || e.VR == "TM" || e.VR == "DT"
	}
	return false
}

func emptied(e dicom.Element) dicom.Element {
	e.Value, e.Fragments = []byte{}, nil
	if e.VR == "SQ" {
		e.Items = []*dicom.DataSet{}
	}
	return e
}

// dummy returns an element with a meaningless value of the same VR. Identifiers become digests.
func (w *worker) dummy(d *dicom.DataSet, e dicom.Element) dicom.Element {
	switch e.VR {
	case "SQ", "OB", "OW", "UN", "AT":
		return emptied(e)
	case "DA":
		return dicom.NewText(e.Tag, e.VR, "19000101")
	case "TM":
		return dicom.NewText(e.Tag, e.VR, "000000")
	case "DT":
		return dicom.NewText(e.Tag, e.VR, "19000101000000")
	case "AS":
		return dicom.NewText(e.Tag, e.VR, "000Y")
	case "DS", "IS":
		return dicom.NewText(e.Tag, e.VR, "0")
	case "UI":
		return w.uids(d, e)
	case "LO", "SH":
		if text := d.Text(e.Tag); text != "" {
			return dicom.NewText(e.Tag, e.VR, w.pseudonym(text))
		}
		return emptied(e)
	case "PN", "LT", "ST", "UT", "UC", "CS", "AE", "UR":
		return dicom.NewText(e.Tag, e.VR, "REMOVED")
	}
	e.Value = make([]byte, len(e.Value)) // numbers become zero
	return e
}

// digest returns the keyed digest of a text for one purpose.
func (w *worker) digest(use, text string) []byte {
	h := hmac.New(sha256.New, w.opt.Key)
	h.Write([]byte(use + "\x00" + text))
	return h.Sum(nil)
}

// pseudonym returns a replacement for an identifier: sixteen characters.
func (w *worker) pseudonym(text string) string {
	return base32.StdEncoding.EncodeToString(w.digest("identifier", strings.TrimSpace(text))[:10])
}

// uids replaces the UIDs of an element by others of the form 2.25.N. UIDs defined by the standard are retained.
func (w *worker) uids(d *dicom.DataSet, e dicom.Element) dicom.Element {
	values := d.Texts(e.Tag)
	for i, v := range values {
		if v != "" && !strings.HasPrefix(v, "1.2.840.10008.") {
			values[i] = "2.25." + new(big.Int).SetBytes(w.digest("uid", v)[:16]).String()
		}
	}
	return dicom.NewText(e.Tag, e.VR, strings.Join(values, `\`))
}

// marks returns the elements that record the de-identification (PS3.15, E.1.1), and the patient's pseudonym.
func (w *worker) marks(d *dicom.DataSet) []dicom.Element {
	code := func(value, meaning string) *dicom.DataSet {
		return d.Replaced([]dicom.Element{dicom.NewText(0x00080100, "SH", value), dicom.NewText(0x00080102, "SH", "DCM"), dicom.NewText(0x00080104, "LO", meaning)})
	}
	codes := []*dicom.DataSet{code("113100", "Basic Application Confidentiality Profile")}
	for _, o := range []struct {
		on             bool
		value, meaning string
	}{
		{w.opt.KeepUIDs, "113110", "Retain UIDs Option"},
		{w.opt.KeepDates, "113106", "Retain Longitudinal Temporal Information Full Dates Option"},
		{w.opt.KeepPatient, "113108", "Retain Patient Characteristics Option"},
		{w.opt.KeepDevice, "113109", "Retain Device Identity Option"},
	} {
		if o.on {
			codes = append(codes, code(o.value, o.meaning))
		}
	}
	temporal := "REMOVED"
	if w.opt.KeepDates {
		temporal = "UNMODIFIED"
	}
	return []dicom.Element{
		dicom.NewText(0x00120062, "CS", "YES"),
		dicom.NewText(0x00120063, "LO", "PS3.15 2026c basic profile, melo"),
		{Tag: 0x00120064, VR: "SQ", Items: codes},
		dicom.NewText(0x00280303, "CS", temporal),
	}
}

//go:embed actions.tsv
var actionsText string

// table maps tags to actions, and patterns of repeating tags to actions.
type table struct {
	exact map[dicom.Tag]string
	masks []masked
}

type masked struct {
	tag, mask dicom.Tag
	action    string
}

var actions = sync.OnceValue(func() *table {
	t := &table{exact: map[dicom.Tag]string{}}
	for line := range strings.Lines(actionsText) {
		number, action, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || strings.HasPrefix(number, "#") {
			continue
		}
		digits, mask := strings.ReplaceAll(number, "x", "0"), ""
		for _, c := range number {
			if c == 'x' {
				mask += "0"
			} else {
				mask += "F"
			}
		}
		n, _ := strconv.ParseUint(digits, 16, 32) // cannot fail: a test reads the embedded table
		m, _ := strconv.ParseUint(mask, 16, 32)
		if m == 0xFFFFFFFF {
			t.exact[dicom.Tag(n)] = action
		} else {
			t.masks = append(t.masks, masked{dicom.Tag(n), dicom.Tag(m), action})
		}
	}
	return t
})

func lookUp(t dicom.Tag) (string, bool) {
	if a, ok := actions().exact[t]; ok {
		return a, true
	}
	for _, m := range actions().masks {
		if t&m.mask == m.tag {
			return m.action, true
		}
	}
	return "", false
}
