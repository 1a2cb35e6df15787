package dataset

import (
	"encoding/csv"
	"io"
)

// maxNearListed limits the number of near copies that are listed.
const maxNearListed = 100_000

// WriteLeftOut writes a CSV of the files that notes and warnings count, with the columns file and reason: files
// that are not samples, unreadable images, copies of an earlier image, and, after Scan with Looks, near copies.
func (d *Dataset) WriteLeftOut(w io.Writer) error {
	rows := leftRows(d.LeftOut)
	for _, b := range d.Bad() {
		rows = append(rows, []string{d.Samples[b.Index].Path, "cannot be read: " + b.Err.Error()})
	}
	for _, set := range d.Copies() {
		for _, i := range set[1:] {
			rows = append(rows, []string{d.Samples[i].Path, "the same image as " + d.Samples[set[0]].Path})
		}
	}
	pairs, _ := d.NearCopies(maxNearListed)
	for _, p := range pairs {
		rows = append(rows, []string{d.Samples[p[1]].Path, "looks like " + d.Samples[p[0]].Path})
	}
	return writeRows(w, rows)
}

// WriteLeftOut writes a CSV of left-out files with the columns file and reason.
func WriteLeftOut(w io.Writer, left []LeftOut) error { return writeRows(w, leftRows(left)) }

func leftRows(left []LeftOut) [][]string {
	rows := [][]string{{"file", "reason"}}
	for _, l := range left {
		rows = append(rows, []string{l.Name, l.Reason})
	}
	return rows
}

func writeRows(w io.Writer, rows [][]string) error {
	c := csv.NewWriter(w)
	_ = c.WriteAll(rows) // reported by Error
	return c.Error()
}
