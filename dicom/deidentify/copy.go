package deidentify

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"melo.example/melo/dicom"
	"melo.example/melo/internal/atomicfile"
)

// Copies writes copies of objects to a folder, each named after its new SOP instance UID.
type Copies struct {
	Out     string // existing folder
	Options Options

	written map[string]string // original path by the name of the copy
}

// Add writes a copy of the object at path. It returns an error if that would replace the copy of another
// object.
func (c *Copies) Add(path string) error {
	f, err := dicom.Open(path)
	if err != nil {
		return err
	}
	clean, _, err := File(f, c.Options)
	if err != nil {
		return err
	}
	data, err := dicom.Encode(clean)
	if err != nil {
		return err
	}
	uid := clean.Data.Text(dicom.SOPInstanceUID)
	if uid == "" || filepath.Base(uid) != uid {
		return errors.New("no SOP instance UID to name the copy by")
	}
	if before, ok := c.written[uid]; ok {
		return fmt.Errorf("has the SOP instance UID of %s, whose copy it would replace", before)
	}
	if c.written == nil {
		c.written = map[string]string{}
	}
	c.written[uid] = path
	return atomicfile.Write(filepath.Join(c.Out, uid+".dcm"), 0o666, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
