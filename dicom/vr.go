package dicom

// VR is a value representation: two letters that define how the bytes of a value are interpreted (PS3.5, 6.2).
type VR string

// kind is a way to interpret the bytes of a value.
type kind uint8

const (
	unknownKind kind = iota
	textKind         // characters of the default repertoire
	localText        // characters of the specific character set
	decimalText      // DS
	integerText      // IS
	uint16Kind
	int16Kind
	uint32Kind
	int32Kind
	uint64Kind
	int64Kind
	float32Kind
	float64Kind
	tagKind
	bytesKind
	sequenceKind
)

// representation holds the properties of a VR according to the standard.
type representation struct {
	kind     kind
	width    int  // bytes per number; 2, 4 or 8 for numbers that are swapped in big endian, else 1
	long     bool // 32-bit length in explicit VR, after two reserved bytes
	multiple bool // text in which backslashes separate values
}

var representations = map[VR]representation{
	"AE": {textKind, 1, false, true}, "AS": {textKind, 1, false, true}, "CS": {textKind, 1, false, true},
	"DA": {textKind, 1, false, true}, "DT": {textKind, 1, false, true}, "TM": {textKind, 1, false, true},
	"UI": {textKind, 1, false, true}, "DS": {decimalText, 1, false, true}, "IS": {integerText, 1, false, true},
	"LO": {localText, 1, false, true}, "SH": {localText, 1, false, true}, "PN": {localText, 1, false, true},
	"UC": {localText, 1, true, true}, "LT": {localText, 1, false, false}, "ST": {localText, 1, false, false},
	"UT": {localText, 1, true, false}, "UR": {textKind, 1, true, false},
	"US": {uint16Kind, 2, false, false}, "SS": {int16Kind, 2, false, false}, "XS": {uint16Kind, 2, false, false},
	"UL": {uint32Kind, 4, false, false}, "SL": {int32Kind, 4, false, false}, "FL": {float32Kind, 4, false, false},
	"FD": {float64Kind, 8, false, false}, "AT": {tagKind, 2, false, false},
	"UV": {uint64Kind, 8, true, false}, "SV": {int64Kind, 8, true, false},
	"OB": {bytesKind, 1, true, false}, "OW": {bytesKind, 2, true, false}, "OL": {bytesKind, 4, true, false},
	"OF": {bytesKind, 4, true, false}, "OD": {bytesKind, 8, true, false}, "OV": {bytesKind, 8, true, false},
	"UN": {bytesKind, 1, true, false}, "SQ": {sequenceKind, 1, true, false},
}

// known reports whether the standard defines the VR.
func (v VR) known() bool { _, ok := representations[v]; return ok && v != "XS" }

// Width returns the bytes per number, the unit that is swapped in big endian. It is 1 for text and bytes.
func (v VR) Width() int { return max(representations[v].width, 1) }

// letters reports whether two bytes may be a VR: two capital letters.
func letters(b []byte) bool {
	return len(b) >= 2 && b[0] >= 'A' && b[0] <= 'Z' && b[1] >= 'A' && b[1] <= 'Z'
}
