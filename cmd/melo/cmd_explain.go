package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	facade "melo.example/melo"
	"melo.example/melo/experiment"
	"melo.example/melo/explain"
	"melo.example/melo/explain/shortcut"
	"melo.example/melo/fit"
	"melo.example/melo/internal/atomicfile"
	"melo.example/melo/internal/text"
	"melo.example/melo/report/lines"
)

// explainOptions are the options of "melo explain".
type explainOptions struct {
	Adapter   string `help:"Adapter whose answers are explained. Default: the base's own classification head." placeholder:"FILE"`
	Base      string `help:"Base: a folder, a file, hf:owner/name or embedded. Default: the one that the adapter was trained on." placeholder:"BASE"`
	Out       string `required:"" placeholder:"DIR" help:"Folder to write to; created if it does not exist."`
	Method    string `default:"attribution" enum:"gradcam,attribution,rollout,occlusion" help:"Method: ${enum}."`
	Label     string `placeholder:"LABEL" help:"Label to explain. Default: the predicted label of each image."`
	Against   string `placeholder:"LABEL" help:"Second label: show what speaks for --label rather than for this one."`
	Shortcut  bool   `help:"Examine many images at once instead: do answers rest on letters, borders or corners? Writes mean maps."`
	Limit     int    `default:"100" placeholder:"N" help:"With --shortcut, number of images to examine, evenly chosen, each at the cost of about 15 predictions."`
	Window    int    `placeholder:"N" help:"Side of the occluded square, in patches. Default: 2."`
	Stride    int    `placeholder:"N" help:"Step of the occluded square, in patches. Default: 1."`
	Precision string `default:"f32" enum:"auto,f32,bf16,int8" help:"Precision of the base's matrix products: ${enum}."`
	Batch     int    `default:"8" help:"Images per forward pass, for occlusion."`
	Workers   int    `placeholder:"N" help:"Workers (default: all cores). The result does not depend on it."`
	trustOptions
	Images []string `arg:"" sep:"none" name:"image" help:"Image files, or folders, which are searched recursively."`
}

// Help returns the long help text.
func (explainOptions) Help() string {
	return `Shows which parts of an image contribute to a label. For each image DIR receives the image with a map over it
(.png), and the values (.npz): "map", one per patch, and "full", one per pixel, NaN where the model saw nothing.

Methods: attribution and rollout follow attention through all blocks; gradcam weights the input of the last attention
block by its gradient; occlusion covers one part after the other and measures the change of the answer, which is exact
and takes hundreds of forward passes.

A map shows what the answer is based on, not whether it is right. docs/explain.md describes how to read one.

Examples:

    melo explain --adapter busi.safetensors --out maps scan.png
    melo explain --adapter busi.safetensors --label benign --out maps scan.png
    melo explain --adapter busi.safetensors --method occlusion --out maps scans/
    melo explain --adapter busi.safetensors --shortcut --out maps scans/` + exitHelp
}

// explainDocument is the --json document of "melo explain".
type explainDocument struct {
	Base      string                       `json:"base"`
	Adapter   *experiment.AdapterReference `json:"adapter,omitempty"`
	Precision string                       `json:"precision"`
	Task      string                       `json:"task"`
	Labels    []string                     `json:"labels"`
	Method    string                       `json:"method"`
	Out       string                       `json:"out"`
	Results   []explained                  `json:"results"`
	Failed    []experiment.FailedImage     `json:"failed"`
	Shortcuts *shortcut.Findings           `json:"shortcuts,omitempty"` // of --shortcut, which has no results
	Notice    string                       `json:"notice"`
}

// explained is the result for one image.
type explained struct {
	Image         string    `json:"image"`
	Label         string    `json:"label"` // explained label
	Against       string    `json:"against,omitempty"`
	Probability   float64   `json:"probability"` // of label
	Probabilities []float64 `json:"probabilities"`
	Picture       string    `json:"picture"`
	Arrays        string    `json:"arrays"`
	Width         int       `json:"width"`
	Height        int       `json:"height"`
	// Region is the part of the image that the model saw, in pixels. It may extend beyond the image.
	Region struct {
		X      float64 `json:"x"`
		Y      float64 `json:"y"`
		Width  float64 `json:"width"`
		Height float64 `json:"height"`
	} `json:"region"`
	Grid int       `json:"grid"` // patches along a side
	Map  []float32 `json:"map"`  // row by row
	// Fit says whether the image resembles the training images; null if the adapter has no such test.
	Fit     *fit.Verdict `json:"fit"`
	Remarks []string     `json:"remarks,omitempty"`
}

// Validate rejects invalid option values.
func (o *explainOptions) Validate() error {
	switch {
	case o.Adapter == "" && o.Base == "":
		return errors.New("give --adapter, --base, or both")
	case o.Batch < 1 || o.Batch > 4096:
		return fmt.Errorf("--batch %d, expected 1 to 4096", o.Batch)
	case o.Limit < 1:
		return fmt.Errorf("--limit %d, expected at least 1", o.Limit)
	case o.Shortcut && (o.Label != "" || o.Against != "" || o.Method != string(explain.Default)):
		return errors.New("--shortcut goes with neither --label nor --against nor another --method: it explains each answer")
	case o.Window < 0 || o.Stride < 0:
		return errors.New("--window and --stride are numbers of patches, at least 1")
	case (o.Window > 0 || o.Stride > 0) && o.Method != string(explain.Occlusion):
		return errors.New("--window and --stride go with --method occlusion")
	}
	return nil
}

// Run explains and writes the maps.
func (o *explainOptions) Run(ctx context.Context, s *stdio) error {
	asked := predictOptions{Adapter: o.Adapter, Base: o.Base, Precision: o.Precision, Batch: o.Batch, Workers: o.Workers, Images: o.Images, trustOptions: o.trustOptions}
	if err := asked.findImages(s); err != nil {
		return err
	}
	o.Images = asked.Images
	base, adapter, err := asked.open(ctx, s)
	if err != nil {
		return err
	}
	defer base.Close()
	if err := os.MkdirAll(o.Out, 0o777); err != nil {
		return err
	}
	doc := explainDocument{Base: base.Path(), Precision: base.Model().Precision.String(), Task: string(adapter.Metadata().Task), Labels: adapter.Labels(),
		Method: o.Method, Out: o.Out, Results: []explained{}, Failed: []experiment.FailedImage{}, Notice: notice}
	if adapter.Path() != "" {
		doc.Adapter = &experiment.AdapterReference{Path: adapter.Path(), Digest: adapter.Digest()}
	}
	if o.Shortcut {
		return o.shortcuts(ctx, s, base, adapter, &doc)
	}
	if err := o.explain(ctx, s, base, adapter, &doc); err != nil {
		return err
	}
	if err := s.document(&doc); err != nil {
		return err
	}
	for _, r := range doc.Results { // after the progress bar was cleared
		line := fmt.Sprintf("%s: %s %.1f%%", r.Picture, r.Label, 100*r.Probability)
		if r.Fit != nil && r.Fit.Unlike {
			line += "  " + lines.Unlike
		}
		s.printf("%s", text.InLine(line))
	}
	for _, r := range doc.Results {
		for _, remark := range r.Remarks {
			s.notef("%s: %s", text.InLine(r.Image), remark)
		}
	}
	s.notef("%s, in %s; %s", o.Method, doc.Precision, notice)
	if n := len(doc.Failed); n > 0 {
		return badInput(fmt.Errorf("%d of %d images could not be explained", n, len(o.Images)))
	}
	return nil
}

// explain fills in the results and writes the files.
func (o *explainOptions) explain(ctx context.Context, s *stdio, base *facade.Base, adapter *facade.Adapter, doc *explainDocument) error {
	progress := s.progress()
	defer progress.Close()
	meter := progress.Start("explaining", 0, int64(len(o.Images)))
	defer meter.Finish()
	taken := map[string]bool{}
	how := facade.ExplainOptions{Method: explain.Method(o.Method), Label: o.Label, Against: o.Against, Window: o.Window, Stride: o.Stride}
	begun := false
	err := base.ExplainFiles(ctx, adapter, how, o.Images, func(i int, x *facade.Explanation, err error) error {
		begun = true
		defer meter.Set(int64(i+1), "")
		if err != nil {
			doc.Failed = append(doc.Failed, experiment.FailedImage{Image: o.Images[i], Error: oneLine(err)})
			progress.Printf("melo: %s", oneLine(err))
			return nil
		}
		r, err := o.write(o.Images[i], adapter, x, taken)
		if err != nil {
			return err
		}
		doc.Results = append(doc.Results, r)
		return nil
	})
	if err != nil && !begun && ctx.Err() == nil {
		return usage(err)
	}
	return err
}

// write writes the image and the values of one result.
func (o *explainOptions) write(path string, adapter *facade.Adapter, x *facade.Explanation, taken map[string]bool) (explained, error) {
	r := explained{Image: path, Label: x.Label, Against: x.Against, Probability: x.Probability, Probabilities: x.Prediction.Probabilities,
		Width: x.Width, Height: x.Height, Grid: x.Map.Grid, Map: x.Map.Values, Fit: x.Prediction.Fit, Remarks: x.Prediction.Remarks}
	r.Region.X, r.Region.Y, r.Region.Width, r.Region.Height = x.Map.Region.X, x.Map.Region.Y, x.Map.Region.W, x.Map.Region.H
	stem := filepath.Join(o.Out, freeName(fileStem(path)+"."+o.Method+"."+safeName(x.Label), taken))
	r.Picture, r.Arrays = stem+".png", stem+".npz"
	err := atomicfile.Write(r.Picture, 0o666, func(w io.Writer) error {
		return x.WritePNG(w, adapter.Name()+", "+filepath.Base(path))
	})
	if err == nil {
		err = atomicfile.Write(r.Arrays, 0o666, x.WriteNPZ)
	}
	return r, err
}

// fileStem returns the name of a file without folder and extension.
func fileStem(path string) string {
	name := filepath.Base(path)
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// safeName returns a label as a part of a file name.
func safeName(label string) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' {
			return r
		}
		return '_'
	}, label)
	const longest = 40
	if runes := []rune(name); len(runes) > longest {
		name = string(runes[:longest])
	}
	return name
}

// freeName returns a name that was not used before, because images in different folders may have the same name.
func freeName(name string, taken map[string]bool) string {
	free := name
	for n := 2; taken[strings.ToLower(free)]; n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	taken[strings.ToLower(free)] = true
	return free
}
