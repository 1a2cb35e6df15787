package experiment

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/lora/ensemble"
)

// File names of the results of a comparison.
const (
	ComparisonReport = "report.html"
	ComparisonTable  = "compare.csv"
	ComparisonJSON   = "compare.json"
)

// Write leaves compare.csv and compare.json in the folder of the comparison, and for each method with several runs a list of their
// adapters, which answers as one.
func (c *Comparison) Write() error {
	d := &c.ComparisonDocument
	for i := range d.Methods {
		if err := d.Methods[i].writeEnsemble(d.Folder); err != nil {
			return err
		}
	}
	if err := atomicfile.Write(filepath.Join(d.Folder, ComparisonTable), 0o666, d.writeCSV); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(d.Folder, ComparisonJSON), 0o666, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(d)
	})
}

// writeEnsemble writes the list of a method's adapters, if there are several that differ: linear probes of several seeds are one.
func (m *MethodResult) writeEnsemble(folder string) error {
	var members []ensemble.Member
	for k := range m.Runs {
		a := &m.Runs[k].Adapter
		if slices.ContainsFunc(members, func(x ensemble.Member) bool { return x.Digest == a.Digest }) {
			return nil
		}
		members = append(members, ensemble.Member{Path: a.Path, Digest: a.Digest})
	}
	if len(members) < 2 || len(members) > ensemble.MaxMembers {
		return nil
	}
	return ensemble.Write(filepath.Join(folder, m.Method+ensemble.Ending), members)
}

// cell is a number in a table, empty if it is not defined.
func cell(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}

// cells formats the ends of an interval for a table.
func cells(v *[2]float64) []string {
	if v == nil {
		return []string{"", ""}
	}
	return []string{cell(&v[0]), cell(&v[1])}
}

// writeCSV writes a row per method, with means over seeds, and a row per run.
func (d *ComparisonDocument) writeCSV(out io.Writer) error {
	w := csv.NewWriter(out)
	w.Write([]string{"method", "seed", "fold", "trained", "head", "share", "bytes", "seconds_per_epoch", "peak_memory_bytes", "auc", "auc_low", "auc_high", "auc_sd",
		"accuracy", "accuracy_low", "accuracy_high", "ece", "ece_low", "ece_high", "uncalibrated_ece", "uncalibrated_ece_low", "uncalibrated_ece_high"})
	memory := func(v int64) string {
		if v == 0 {
			return ""
		}
		return strconv.FormatInt(v, 10)
	}
	for i := range d.Methods {
		m := &d.Methods[i]
		what := []string{strconv.FormatInt(m.Params.Trained, 10), strconv.FormatInt(m.Params.Head, 10), cell(&m.Params.Share)}
		row := append([]string{m.Method, "", ""}, what...)
		row = append(row, strconv.FormatInt(m.Bytes, 10), cell(&m.SecondsPerEpoch), memory(m.PeakMemory), cell(m.AUC))
		row = append(append(row, cells(m.AUCInterval)...), cell(m.AUCDeviation), cell(m.Accuracy))
		row = append(append(row, cells(m.AccuracyInterval)...), cell(m.ECE))
		row = append(append(row, cells(m.ECEInterval)...), cell(m.Uncalibrated.ECE))
		w.Write(append(row, cells(m.Uncalibrated.ECEInterval)...))
		for k := range m.Runs {
			r := &m.Runs[k]
			fold := ""
			if r.Fold > 0 {
				fold = strconv.Itoa(r.Fold)
			}
			row := append([]string{m.Method, strconv.FormatUint(r.Seed, 10), fold}, what...)
			w.Write(append(row, strconv.FormatInt(r.Bytes, 10), cell(&r.SecondsPerEpoch), memory(r.PeakMemory), cell(r.AUC), "", "", "",
				cell(r.Accuracy), "", "", cell(r.ECE), "", "", cell(r.UncalibratedECE), "", ""))
		}
	}
	w.Flush()
	return w.Error()
}
