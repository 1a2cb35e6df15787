package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/ui"
)

// Names of the results in the folder of a comparison.
const (
	compareReport = "report.html"
	compareTable  = "compare.csv"
	compareJSON   = "compare.json"
)

// write writes the results.
func (j *compareJob) write(ctx context.Context) error {
	page, err := j.page(ctx)
	if err != nil {
		return err
	}
	if err := writePage(filepath.Join(j.o.folder(), compareReport), page); err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(j.o.folder(), compareTable), 0o666, j.writeCSV); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(j.o.folder(), compareJSON), 0o666, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(&j.doc)
	})
}

// writeCSV writes a row for each method, with means over seeds, and one for each run.
func (j *compareJob) writeCSV(out io.Writer) error {
	w := csv.NewWriter(out)
	w.Write([]string{"method", "seed", "trained", "head", "share", "bytes", "seconds_per_epoch", "peak_memory_bytes", "auc", "auc_low", "auc_high", "auc_sd",
		"accuracy", "accuracy_low", "accuracy_high", "ece", "ece_low", "ece_high", "uncalibrated_ece", "uncalibrated_ece_low", "uncalibrated_ece_high"})
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	maybe := func(v *float64) string {
		if v == nil {
			return ""
		}
		return number(*v)
	}
	ends := func(v *[2]float64) []string {
		if v == nil {
			return []string{"", ""}
		}
		return []string{number(v[0]), number(v[1])}
	}
	memory := func(v int64) string {
		if v == 0 {
			return ""
		}
		return strconv.FormatInt(v, 10)
	}
	for i := range j.doc.Methods {
		m := &j.doc.Methods[i]
		what := []string{strconv.FormatInt(m.Params.Trained, 10), strconv.FormatInt(m.Params.Head, 10), number(m.Params.Share)}
		row := append([]string{m.Method, ""}, what...)
		row = append(row, strconv.FormatInt(m.Bytes, 10), number(m.SecondsPerEpoch), memory(m.PeakMemory), maybe(m.AUC))
		row = append(append(row, ends(m.AUCInterval)...), maybe(m.AUCDeviation), maybe(m.Accuracy))
		row = append(append(row, ends(m.AccuracyInterval)...), maybe(m.ECE))
		row = append(append(row, ends(m.ECEInterval)...), maybe(m.Uncalibrated.ECE))
		w.Write(append(row, ends(m.Uncalibrated.ECEInterval)...))
		for k := range m.Runs {
			r := &m.Runs[k]
			row := append([]string{m.Method, strconv.FormatUint(r.Seed, 10)}, what...)
			w.Write(append(row, strconv.FormatInt(r.Bytes, 10), number(r.SecondsPerEpoch), memory(r.PeakMemory), maybe(r.AUC), "", "", "",
				maybe(r.Accuracy), "", "", maybe(r.ECE), "", "", maybe(r.UncalibratedECE), "", ""))
		}
	}
	w.Flush()
	return w.Error()
}

// memoryText is a size, or a dash where it is not known.
func memoryText(n int64) string {
	if n == 0 {
		return "-"
	}
	return ui.Bytes(n)
}

// print shows the comparison to people.
func (j *compareJob) print() {
	d, s := &j.doc, j.s
	if s.json {
		return
	}
	s.printf("%s on %s", filepath.Base(filepath.Clean(d.Base)), d.Data.Path)
	s.printf("  test split: %d images, %s; %s", len(j.test), d.Data.Rule, j.seedsText())
	of := "images"
	if d.Bootstrap.Unit == "group" {
		of = fmt.Sprintf("%d groups", d.Bootstrap.Units)
	}
	s.printf("  intervals: 95 %%, %d resamples of %s\n", d.Bootstrap.Resamples, of)
	s.printf("  method    trained numbers   of base       file  s/epoch  peak memory")
	for i := range d.Methods {
		m := &d.Methods[i]
		s.printf("  %-8s %16s %7.2f %% %10s %8.1f %12s", m.Method, ui.Count(m.Params.Trained+m.Params.Head), 100*trainedOverBase(&m.Params), ui.Bytes(m.Bytes),
			m.SecondsPerEpoch, memoryText(m.PeakMemory))
	}
	s.printf("\n  method      AUC  95 %%              sd  accuracy    ECE  uncalibrated")
	for i := range d.Methods {
		m := &d.Methods[i]
		s.printf("  %-8s  %s  %s  %s     %s  %s         %s", m.Method, share(m.AUC), interval95(m.AUCInterval), share(m.AUCDeviation), share(m.Accuracy),
			share(m.ECE), share(m.Uncalibrated.ECE))
	}
	if len(d.Differences) > 0 {
		s.printf("\n  difference         AUC  95 %%                  p  accuracy      p")
	}
	for i := range d.Differences {
		x := &d.Differences[i]
		s.printf("  %-15s %s  %s  %s    %s  %s", x.First+" - "+x.Second, signed(x.AUC.Difference), signedRange(x.AUC.Interval), pText(x.AUC.P),
			signed(x.Accuracy.Difference), pText(x.Accuracy.P))
	}
	s.printf("\n  trained numbers: with the head; sd: of the AUC over seeds; p: paired bootstrap")
	s.printf("  of the test images, not adjusted for the number of comparisons")
	s.printf("\nreport: %s", filepath.Join(d.Folder, compareReport))
	s.notef("%s", notice)
}

// trainedOverBase is the share of what is trained, the head with it.
func trainedOverBase(p *trainedShare) float64 {
	if p.Base == 0 {
		return 0
	}
	return float64(p.Trained+p.Head) / float64(p.Base)
}

// signed writes a difference in six columns.
func signed(v *float64) string {
	if v == nil {
		return "     -"
	}
	return fmt.Sprintf("%+.3f", *v)
}

// signedRange writes the interval of a difference in 16 columns.
func signedRange(v *[2]float64) string {
	if v == nil {
		return "-               "
	}
	return fmt.Sprintf("%+.3f to %+.3f", v[0], v[1])
}

// pText writes a p-value in six columns.
func pText(v *float64) string {
	switch {
	case v == nil:
		return "     -"
	case *v < 0.001:
		return "<0.001"
	}
	return fmt.Sprintf(" %.3f", *v)
}
