package dicom

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// charset decodes the text of a data set (PS3.3, C.12.1.1.2). The nil charset is the default repertoire, which
// is read as ISO 8859-1 so that nothing is lost.
type charset struct {
	first      encoding.Encoding // encoding at the start of a value; nil: the default repertoire
	extensions bool              // escape sequences switch between character sets (ISO 2022)
	utf8       bool
	unknown    []string // unknown defined terms
}

// singleByte maps the number in a defined term (ISO_IR 100, ISO 2022 IR 100) to its single-byte character set.
var singleByte = map[string]encoding.Encoding{
	"6": nil, "100": charmap.ISO8859_1, "101": charmap.ISO8859_2, "109": charmap.ISO8859_3, "110": charmap.ISO8859_4,
	"144": charmap.ISO8859_5, "127": charmap.ISO8859_6, "126": charmap.ISO8859_7, "138": charmap.ISO8859_8,
	"148": charmap.ISO8859_9, "203": charmap.ISO8859_15, "166": charmap.Windows874, "13": japanese.ShiftJIS,
}

// newCharset reads the values of Specific Character Set.
func newCharset(terms []string) *charset {
	c := &charset{}
	for i, term := range terms {
		name := strings.ToUpper(strings.NewReplacer("-", " ", "_", " ").Replace(strings.TrimSpace(term)))
		name = strings.ReplaceAll(strings.ReplaceAll(name, "ISO IR", "IR"), "ISO 2022 ", "2022 ")
		name = strings.Join(strings.Fields(name), " ")
		extended := strings.HasPrefix(name, "2022 ")
		c.extensions = c.extensions || extended
		name = strings.TrimPrefix(strings.TrimPrefix(name, "2022 "), "IR ")
		var set encoding.Encoding
		switch name {
		case "", "87", "159", "58", "ISO646", "ISO 646": // used only after escape sequences
		case "149":
			set = korean.EUCKR
		case "192", "UTF8", "UTF 8":
			c.utf8 = true
		case "GB18030":
			set = simplifiedchinese.GB18030
		case "GBK":
			set = simplifiedchinese.GBK
		default:
			var ok bool
			if set, ok = singleByte[name]; !ok {
				c.unknown = append(c.unknown, term)
			}
		}
		if i == 0 {
			c.first = set
		}
	}
	c.extensions = c.extensions || len(terms) > 1 && !c.utf8
	return c
}

// decode converts the bytes of a value to text. Bytes that the set does not define become U+FFFD.
func (c *charset) decode(b []byte, person bool) string {
	if c == nil {
		if utf8.Valid(b) && !bytes.ContainsRune(b, '\x1b') {
			return string(b) // UTF-8 text without its declaration is common
		}
		return latin1(b)
	}
	if c.utf8 {
		return strings.ToValidUTF8(string(b), "�")
	}
	if !c.extensions || !bytes.Contains(b, []byte{0x1b}) {
		return decodeWith(c.first, b)
	}
	return c.decodeExtended(b, person)
}

// escape is a sequence that switches to another character set.
type escape struct {
	code string
	set  encoding.Encoding
	wrap string // prefix that the set's decoder expects before the bytes
}

var escapes = []escape{
	{"\x1b$B", japanese.ISO2022JP, "\x1b$B"}, {"\x1b$@", japanese.ISO2022JP, "\x1b$@"},
	{"\x1b$(D", japanese.ISO2022JP, "\x1b$(D"},
	{"\x1b$)C", korean.EUCKR, ""}, {"\x1b$)A", simplifiedchinese.GBK, ""},
	{"\x1b(B", nil, ""}, {"\x1b(J", japanese.ShiftJIS, ""}, {"\x1b)I", japanese.ShiftJIS, ""},
	{"\x1b-A", charmap.ISO8859_1, ""}, {"\x1b-B", charmap.ISO8859_2, ""}, {"\x1b-C", charmap.ISO8859_3, ""},
	{"\x1b-D", charmap.ISO8859_4, ""}, {"\x1b-L", charmap.ISO8859_5, ""}, {"\x1b-G", charmap.ISO8859_6, ""},
	{"\x1b-F", charmap.ISO8859_7, ""}, {"\x1b-H", charmap.ISO8859_8, ""}, {"\x1b-M", charmap.ISO8859_9, ""},
	{"\x1b-b", charmap.ISO8859_15, ""}, {"\x1b-T", charmap.Windows874, ""},
}

// decodeExtended interprets the escape sequences of ISO 2022. A set ends where the next begins, and at the
// delimiters that end a value or a component; the first set then applies again.
func (c *charset) decodeExtended(b []byte, person bool) string {
	var out strings.Builder
	current := escape{set: c.first}
	for len(b) > 0 {
		if b[0] == 0x1b {
			next, n := matchEscape(b)
			if n == 0 {
				out.WriteRune(utf8.RuneError)
				b = b[1:]
				continue
			}
			current, b = next, b[n:]
			continue
		}
		end := bytes.IndexByte(b, 0x1b)
		if end < 0 {
			end = len(b)
		}
		reset := false
		if current.wrap == "" { // the bytes of JIS sets may look like delimiters
			if i := bytes.IndexFunc(b[:end], func(r rune) bool {
				return r == '\\' || r == '\r' || r == '\n' || person && (r == '^' || r == '=')
			}); i >= 0 {
				end, reset = i+1, true
			}
		}
		if current.wrap != "" {
			out.WriteString(decodeWith(current.set, append([]byte(current.wrap), b[:end]...)))
		} else {
			out.WriteString(decodeWith(current.set, b[:end]))
		}
		b = b[end:]
		if reset {
			current = escape{set: c.first}
		}
	}
	return out.String()
}

func matchEscape(b []byte) (escape, int) {
	for _, e := range escapes {
		if bytes.HasPrefix(b, []byte(e.code)) {
			return e, len(e.code)
		}
	}
	return escape{}, 0
}

func decodeWith(set encoding.Encoding, b []byte) string {
	if set == nil {
		return latin1(b)
	}
	text, err := set.NewDecoder().Bytes(b)
	if err != nil {
		return latin1(b)
	}
	return string(text)
}
