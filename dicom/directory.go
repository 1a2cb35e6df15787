package dicom

import (
	"strings"
)

// mediaStorageDirectory is the SOP class of a DICOMDIR.
const mediaStorageDirectory = "1.2.840.10008.1.3.10"

// IsDirectory reports whether an object is a DICOMDIR, the list of files on a medium (PS3.10, 8).
func IsDirectory(f *File) bool {
	return f.Data.Text(SOPClassUID) == mediaStorageDirectory || f.Meta.Text(MediaStorageSOPClassUID) == mediaStorageDirectory ||
		f.Data.Find(DirectoryRecordSequence) != nil
}

// Listed returns the files that the records of a DICOMDIR name, without duplicates, in record order: names
// relative to the DICOMDIR's folder, with forward slashes. Records that are not in use are skipped. A name that
// leads out of that folder is an error.
func Listed(f *File) ([]string, error) {
	if !IsDirectory(f) {
		return nil, errorf("no list of files (DICOMDIR): its class is %s", UID(f.Data.Text(SOPClassUID)).Name())
	}
	var names []string
	seen := map[string]bool{}
	for i, r := range f.Data.Items(DirectoryRecordSequence) {
		parts := r.Texts(ReferencedFileID)
		if use, err := r.Int(RecordInUseFlag); len(parts) == 0 || err == nil && use == 0 {
			continue
		}
		for _, p := range parts {
			if p == "" || p == "." || p == ".." || strings.ContainsAny(p, "/\x00:") {
				return nil, errorf("record %d of the list of files: %q is no name of a file in its folder", i+1, strings.Join(parts, "/"))
			}
		}
		if name := strings.Join(parts, "/"); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, errorf("the list of files (DICOMDIR) names none: %d records", len(f.Data.Items(DirectoryRecordSequence)))
	}
	return names, nil
}
