package lines

import (
	"time"

	"melo.example/melo/demo"
	"melo.example/melo/internal/text"
)

// Demo shows what a demo did.
func Demo(l Writer, d *demo.Document) {
	l.Printf("%d synthetic tasks on one frozen base (%s),\n%s\n", len(d.Tasks), d.Base, d.Size())
	l.Printf("  task    method  trainable   of base      file    AUC  95 %%            accuracy")
	for i := range d.Tasks {
		for k := range d.Tasks[i].Methods {
			m := &d.Tasks[i].Methods[k]
			name := ""
			if k == 0 {
				name = d.Tasks[i].Name
			}
			l.Printf("  %-7s %-7s %9s %7.2f %% %9s  %s  %s  %s", name, m.Method, text.Count(m.Params.Trained+m.Params.Head),
				100*m.Params.WithHead(), text.Bytes(m.Bytes), share(m.AUC), interval95(m.AUCInterval), share(m.Accuracy))
		}
	}
	l.Printf("\n%s", &d.Serving)
	l.Printf("\n%s, in %s:\n  %s   table, pictures, curves, confusion matrices", text.Duration(time.Duration(d.Seconds*float64(time.Second))), d.Folder, d.Report)
	l.Printf("\nnext:")
	for _, c := range d.Next {
		l.Printf("  %s", c)
	}
}

// DemoData shows what data sets were written.
func DemoData(l Writer, d *demo.Document) {
	n := d.Tasks[0].Pictures
	l.Printf("%d pictures of each task, 128 x 128 pixels, in %s", n.Train+n.Val+n.Test, d.Folder)
	for i := range d.Tasks {
		l.Printf("  %-28s %s", d.Tasks[i].Data, d.Tasks[i].Title)
		l.Printf("  %-28s %s", "", d.Tasks[i].Form)
	}
	l.Printf("\nnext:")
	for _, c := range d.Next {
		l.Printf("  %s", c)
	}
}
