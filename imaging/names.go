package imaging

import (
	"bytes"
	"encoding/binary"
)

// strangers lists the first bytes of unsupported files that users take for images, or that contain images, with
// their names and advice. '?' matches any byte.
var strangers = [...]struct{ magic, name, advice string }{
	{"????ftypavi", "AVIF", toPNG},
	{"????ftyphe", "HEIC", toPNG},
	{"????ftypmif1", "HEIF", toPNG},
	{"????ftypmsf1", "HEIF", toPNG},
	{"????ftypcrx", "camera raw", toPNG},
	{"????ftyp", "MPEG-4", "take pictures out of it"},
	{"\x00\x00\x00\x0cjP  ", "JPEG 2000", toPNG},
	{"\xff\x4f\xff\x51", "JPEG 2000", toPNG},
	{"\x00\x00\x00\x0cJXL ", "JPEG XL", toPNG},
	{"\xff\x0a", "JPEG XL", toPNG},
	{"\x49\x49\xbc\x01", "JPEG XR", toPNG},
	{"8BPS", "Photoshop", toPNG},
	{"gimp xcf", "GIMP", toPNG},
	{"%PDF", "PDF", "take the pictures out of it"},
	{"%!PS", "PostScript", toPNG},
	{"<svg", "SVG", toPNG},
	{"<?xml", "XML (SVG?)", toPNG},
	{"<!DOC", "web page", "was it downloaded in place of an image?"},
	{"<html", "web page", "was it downloaded in place of an image?"},
	{"version https://git-lfs", "Git LFS pointer", "fetch the file that it stands for (git lfs pull)"},
	{"\x00\x00\x01\x00", "icon", toPNG},
	{"DDS ", "DirectDraw surface", toPNG},
	{"qoif", "QOI", toPNG},
	{"\x76\x2f\x31\x01", "OpenEXR", toPNG},
	{"#?RADIANCE", "Radiance", toPNG},
	{"\x01\xda", "SGI image", toPNG},
	{"SIMPLE  =", "FITS", toPNG},
	{"NRRD", "NRRD", oneImage},
	{"\x89HDF\r\n", "HDF5", oneImage},
	{"\x93NUMPY", "NumPy array", oneImage},
	{"PK\x03\x04", "zip archive", "unpack it"},
	{"\x1f\x8b", "gzip archive", "unpack it"},
	{"7z\xbc\xaf", "7z archive", "unpack it"},
	{"Rar!", "RAR archive", "unpack it"},
	{"\x8aMNG", "MNG animation", toPNG},
	{"\x00\x05\x16\x07", "AppleDouble (._)", "leave it out: it describes another file"},
}

const (
	toPNG    = "convert it to PNG"
	oneImage = "write each image of it as PNG or TIFF"
)

// stranger names the format of data that are not an image in a known format, or returns "" if it is unknown,
// too.
func stranger(data []byte) string {
	for _, s := range strangers {
		if hasMagic(data, s.magic) {
			return s.name + " file: " + s.advice
		}
	}
	const nifti, magic = 348, 344 // the header starts with its own length
	if len(data) >= nifti && bytes.HasPrefix(data[magic:], []byte("n+1")) &&
		(binary.LittleEndian.Uint32(data) == nifti || binary.BigEndian.Uint32(data) == nifti) {
		return "NIfTI file: " + oneImage
	}
	if len(bytes.Trim(data[:min(len(data), 4096)], "\x00")) == 0 {
		return "nothing but zeros: was it stored or copied whole?"
	}
	return ""
}
