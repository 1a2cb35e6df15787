package grpcapi

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"melo.example/melo/serve/oip"
)

// Memory of parts of a message after decoding, in addition to their own bytes: two bytes can encode an empty
// message.
const (
	partMessage = 256 // a message, or a map entry
	partBytes   = 32  // a string or bytes
	partNumber  = 8   // a varint
	freeParts   = 64 << 10
	maxDepth    = 16
)

// checkParts returns an error if decoding a message would take much more memory than the message itself. It
// does not decode it.
func checkParts(data []byte, d protoreflect.MessageDescriptor) error {
	left := int64(freeParts + len(data))
	if !countParts(data, d, &left, maxDepth) {
		return oip.NewFault(oip.Invalid, "the message is damaged, or it has more parts than it could need")
	}
	return nil
}

// countParts subtracts the memory of a message's parts from left.
func countParts(data []byte, d protoreflect.MessageDescriptor, left *int64, depth int) bool {
	if depth == 0 {
		return false
	}
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return false
		}
		data = data[n:]
		var field protoreflect.FieldDescriptor
		if d != nil {
			field = d.Fields().ByNumber(number)
		}
		*left -= partNumber
		if kind == protowire.BytesType {
			value, n := protowire.ConsumeBytes(data)
			if n < 0 || !countBytes(value, field, left, depth) {
				return false
			}
			data = data[n:]
		} else {
			n := protowire.ConsumeFieldValue(number, kind, data)
			if n < 0 || kind == protowire.StartGroupType {
				return false
			}
			data = data[n:]
		}
		if *left < 0 {
			return false
		}
	}
	return true
}

// countBytes counts a length-delimited field.
func countBytes(value []byte, field protoreflect.FieldDescriptor, left *int64, depth int) bool {
	switch {
	case field == nil || field.Kind() == protoreflect.StringKind || field.Kind() == protoreflect.BytesKind:
		*left -= partBytes
	case field.Kind() == protoreflect.MessageKind:
		*left -= partMessage
		return *left >= 0 && countParts(value, field.Message(), left, depth-1)
	default: // packed numbers
		switch field.Kind() {
		case protoreflect.FloatKind, protoreflect.DoubleKind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind,
			protoreflect.Sfixed32Kind, protoreflect.Sfixed64Kind, protoreflect.BoolKind:
		default:
			*left -= partNumber * int64(len(value)) // each takes at least one byte
		}
	}
	return *left >= 0
}
