package dicom

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Tag identifies a data element: group in the upper 16 bits, element in the lower.
type Tag uint32

// Tags that this module uses.
const (
	TransferSyntaxUID          Tag = 0x00020010
	MediaStorageSOPClassUID    Tag = 0x00020002
	MediaStorageSOPInstanceUID Tag = 0x00020003
	RecordInUseFlag            Tag = 0x00041410
	SpecificCharacterSet       Tag = 0x00080005
	SOPClassUID                Tag = 0x00080016
	SOPInstanceUID             Tag = 0x00080018
	Modality                   Tag = 0x00080060
	ConversionType             Tag = 0x00080064
	StudyDate                  Tag = 0x00080020
	Manufacturer               Tag = 0x00080070
	PatientName                Tag = 0x00100010
	PatientID                  Tag = 0x00100020
	IssuerOfPatientID          Tag = 0x00100021
	PatientBirthDate           Tag = 0x00100030
	PatientSex                 Tag = 0x00100040
	PatientAge                 Tag = 0x00101010
	BodyPartExamined           Tag = 0x00180015
	ViewPosition               Tag = 0x00185101
	StudyInstanceUID           Tag = 0x0020000D
	SeriesInstanceUID          Tag = 0x0020000E
	InstanceNumber             Tag = 0x00200013
	Laterality                 Tag = 0x00200060
	ImageLaterality            Tag = 0x00200062
	SamplesPerPixel            Tag = 0x00280002
	PhotometricInterpretation  Tag = 0x00280004
	PlanarConfiguration        Tag = 0x00280006
	NumberOfFrames             Tag = 0x00280008
	Rows                       Tag = 0x00280010
	Columns                    Tag = 0x00280011
	BitsAllocated              Tag = 0x00280100
	BitsStored                 Tag = 0x00280101
	HighBit                    Tag = 0x00280102
	PixelRepresentation        Tag = 0x00280103
	PixelPaddingValue          Tag = 0x00280120
	PixelPaddingRangeLimit     Tag = 0x00280121
	BurnedInAnnotation         Tag = 0x00280301
	WindowCenter               Tag = 0x00281050
	WindowWidth                Tag = 0x00281051
	RescaleIntercept           Tag = 0x00281052
	RescaleSlope               Tag = 0x00281053
	RescaleType                Tag = 0x00281054
	WindowExplanation          Tag = 0x00281055
	VOILUTFunction             Tag = 0x00281056
	RedPaletteDescriptor       Tag = 0x00281101
	GreenPaletteDescriptor     Tag = 0x00281102
	BluePaletteDescriptor      Tag = 0x00281103
	RedPaletteData             Tag = 0x00281201
	GreenPaletteData           Tag = 0x00281202
	BluePaletteData            Tag = 0x00281203
	SegmentedRedPaletteData    Tag = 0x00281221
	SegmentedGreenPaletteData  Tag = 0x00281222
	SegmentedBluePaletteData   Tag = 0x00281223
	ModalityLUTSequence        Tag = 0x00283000
	LUTDescriptor              Tag = 0x00283002
	LUTExplanation             Tag = 0x00283003
	LUTData                    Tag = 0x00283006
	VOILUTSequence             Tag = 0x00283010
	PixelValueTransformation   Tag = 0x00289145
	FrameVOILUTSequence        Tag = 0x00289132
	DirectoryRecordSequence    Tag = 0x00041220
	DirectoryRecordType        Tag = 0x00041430
	ReferencedFileID           Tag = 0x00041500
	SharedFunctionalGroups     Tag = 0x52009229
	PerFrameFunctionalGroups   Tag = 0x52009230
	PresentationLUTShape       Tag = 0x20500020
	ExtendedOffsetTable        Tag = 0x7FE00001
	ExtendedOffsetTableLengths Tag = 0x7FE00002
	FloatPixelData             Tag = 0x7FE00008
	DoubleFloatPixelData       Tag = 0x7FE00009
	PixelData                  Tag = 0x7FE00010

	itemTag        Tag = 0xFFFEE000
	itemEndTag     Tag = 0xFFFEE00D
	sequenceEndTag Tag = 0xFFFEE0DD
)

// Group returns the group number.
func (t Tag) Group() uint16 { return uint16(t >> 16) }

// Element returns the element number within the group.
func (t Tag) Element() uint16 { return uint16(t) }

// Private reports whether the tag belongs to a private group (PS3.5, 7.8).
func (t Tag) Private() bool { return t.Group()&1 == 1 }

// String formats the tag as "(0028,0010)".
func (t Tag) String() string { return fmt.Sprintf("(%04X,%04X)", t.Group(), t.Element()) }

// Name returns the keyword of a registered tag ("Rows"), "Private" or "Private creator" for private ones, and "" for others.
func (t Tag) Name() string {
	if t.Private() {
		if e := t.Element(); e >= 0x10 && e <= 0xFF {
			return "Private creator"
		}
		return "Private"
	}
	if t.Element() == 0 {
		return "Group length"
	}
	e, _ := lookUp(t)
	return e.keyword
}

// Keyword finds a tag by its keyword ("Rows") or its number ("00280010", "(0028,0010)", "0028,0010").
func Keyword(text string) (Tag, bool) {
	if t, ok := registry().byKeyword[text]; ok {
		return t, true
	}
	digits := strings.NewReplacer("(", "", ")", "", ",", "").Replace(text)
	if len(digits) != 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	return Tag(n), err == nil
}

// registered is an entry in the registry of data elements.
type registered struct {
	vr      VR
	vm      string
	keyword string
}

//go:embed elements.tsv
var elementsText string

// dictionary is the registry of PS3.6.
type dictionary struct {
	exact     map[Tag]registered
	repeating []repeating
	byKeyword map[string]Tag
}

// repeating is an entry for all tags that are equal outside the mask, such as overlays 60xx.
type repeating struct {
	tag, mask Tag
	registered
}

var registry = sync.OnceValue(func() *dictionary {
	d := &dictionary{exact: map[Tag]registered{}, byKeyword: map[string]Tag{}}
	for line := range strings.Lines(elementsText) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		entry := registered{VR(f[1]), f[2], f[3]}
		number, mask := "", ""
		for _, c := range f[0] {
			if c == 'x' {
				number, mask = number+"0", mask+"0"
			} else {
				number, mask = number+string(c), mask+"F"
			}
		}
		n, _ := strconv.ParseUint(number, 16, 32) // cannot fail: a test reads the embedded table
		m, _ := strconv.ParseUint(mask, 16, 32)
		if m != 0xFFFFFFFF {
			d.repeating = append(d.repeating, repeating{Tag(n), Tag(m), entry})
			continue
		}
		d.exact[Tag(n)] = entry
		d.byKeyword[entry.keyword] = Tag(n)
	}
	return d
})

// lookUp returns the registry entry for a tag.
func lookUp(t Tag) (registered, bool) {
	d := registry()
	if e, ok := d.exact[t]; ok {
		return e, true
	}
	for _, r := range d.repeating {
		if t&r.mask == r.tag {
			return r.registered, true
		}
	}
	return registered{}, false
}
