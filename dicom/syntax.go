package dicom

import (
	_ "embed"
	"strings"
	"sync"
)

// UID is a unique identifier.
type UID string

// Transfer syntaxes (PS3.6, table A-1).
const (
	ImplicitLittleEndian UID = "1.2.840.10008.1.2"
	ExplicitLittleEndian UID = "1.2.840.10008.1.2.1"
	DeflatedLittleEndian UID = "1.2.840.10008.1.2.1.99"
	ExplicitBigEndian    UID = "1.2.840.10008.1.2.2"
	EncapsulatedNative   UID = "1.2.840.10008.1.2.1.98"
	RLELossless          UID = "1.2.840.10008.1.2.5"
	DeflatedFrames       UID = "1.2.840.10008.1.2.8.1"
	JPEGBaseline         UID = "1.2.840.10008.1.2.4.50"
	JPEGExtended         UID = "1.2.840.10008.1.2.4.51"
	JPEGLossless         UID = "1.2.840.10008.1.2.4.57"
	JPEGLosslessSV1      UID = "1.2.840.10008.1.2.4.70"
	JPEGLSLossless       UID = "1.2.840.10008.1.2.4.80"
	JPEGLSNearLossless   UID = "1.2.840.10008.1.2.4.81"
	JPEG2000Lossless     UID = "1.2.840.10008.1.2.4.90"
	JPEG2000             UID = "1.2.840.10008.1.2.4.91"
	HTJ2KLossless        UID = "1.2.840.10008.1.2.4.201"
	HTJ2KLosslessRPCL    UID = "1.2.840.10008.1.2.4.202"
	HTJ2K                UID = "1.2.840.10008.1.2.4.203"
)

// layout is the encoding of data sets under a transfer syntax.
type layout struct {
	implicit, bigEndian, deflated bool
}

// layoutOf returns the encoding of data sets under a transfer syntax. All encapsulated syntaxes use explicit
// little endian (PS3.5, A.4). Unknown ones are assumed to: only their pixel data are unknown.
func layoutOf(syntax UID) layout {
	switch syntax {
	case ImplicitLittleEndian:
		return layout{implicit: true}
	case ExplicitBigEndian:
		return layout{bigEndian: true}
	case DeflatedLittleEndian:
		return layout{deflated: true}
	}
	return layout{}
}

// Native reports whether pixel data are uncompressed.
func (u UID) Native() bool {
	switch u {
	case ImplicitLittleEndian, ExplicitLittleEndian, DeflatedLittleEndian, ExplicitBigEndian:
		return true
	}
	return false
}

//go:embed uids.tsv
var uidsText string

var uidNames = sync.OnceValue(func() map[UID]string {
	names := map[UID]string{}
	for line := range strings.Lines(uidsText) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		names[UID(f[0])] = f[2]
	}
	return names
})

// Name returns the name of a registered transfer syntax or class, or "" for others.
func (u UID) Name() string { return uidNames()[u] }
