// Package tfevents writes scalars as TensorBoard's event files: the few fields that curves need.
//
// A file is a sequence of records (TFRecord): length as little-endian uint64, its checksum, the data, their
// checksum. Checksums are CRC-32C, rotated and shifted so that a checksum of a checksum is not weak. The data of
// each record is a protobuf message Event: wall_time (1, double), step (2, int64), and file_version (3, string) in
// the first record or summary (5) in the others; a summary has values (1) of tag (1, string) and simple_value (2,
// float). Names and numbers of the fields are those of tensorflow's event.proto and summary.proto.
package tfevents

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"
)

// Version is the file version in the first record of a file.
const Version = "brain.Event:2"

// Scalar is a named value.
type Scalar struct {
	Tag   string // parts are separated by slashes; TensorBoard groups tags by their first part
	Value float64
}

// AppendHeader appends the first record of a file.
func AppendHeader(dst []byte, at time.Time) []byte {
	return appendRecord(dst, appendBytes(appendTime(nil, at), 3, []byte(Version)))
}

// AppendScalars appends a record with the values after a step.
func AppendScalars(dst []byte, at time.Time, step int64, scalars []Scalar) []byte {
	event := appendTime(nil, at)
	event = binary.AppendUvarint(append(event, 2<<3|varint), uint64(step))
	var summary []byte
	for _, s := range scalars {
		value := appendBytes(nil, 1, []byte(s.Tag))
		value = append(value, 2<<3|fixed32)
		value = binary.LittleEndian.AppendUint32(value, math.Float32bits(float32(s.Value)))
		summary = appendBytes(summary, 1, value)
	}
	return appendRecord(dst, appendBytes(event, 5, summary))
}

// Wire types of protobuf.
const (
	varint  = 0
	fixed64 = 1
	bytes   = 2
	fixed32 = 5
)

func appendTime(dst []byte, at time.Time) []byte {
	seconds := float64(at.Unix()) + float64(at.Nanosecond())/1e9
	return binary.LittleEndian.AppendUint64(append(dst, 1<<3|fixed64), math.Float64bits(seconds))
}

func appendBytes(dst []byte, field byte, data []byte) []byte {
	dst = binary.AppendUvarint(append(dst, field<<3|bytes), uint64(len(data)))
	return append(dst, data...)
}

func appendRecord(dst, data []byte) []byte {
	from := len(dst)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(data)))
	dst = binary.LittleEndian.AppendUint32(dst, masked(dst[from:]))
	dst = append(dst, data...)
	return binary.LittleEndian.AppendUint32(dst, masked(data))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked returns TFRecord's checksum.
func masked(data []byte) uint32 {
	c := crc32.Checksum(data, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}
