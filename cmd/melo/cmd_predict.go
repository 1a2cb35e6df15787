package main

import (
	"context"
	"errors"
	"fmt"

	facade "melo.example/melo"
	"melo.example/melo/conformal"
	"melo.example/melo/experiment"
	"melo.example/melo/fit"
	"melo.example/melo/predictions"
	"melo.example/melo/report/lines"
)

// notice is printed with every prediction.
const notice = experiment.Notice

// predictOptions are the options of "melo predict".
type predictOptions struct {
	Adapter   string  `help:"Adapter to predict with; with --server its name on the server. Default: the base's own classification head." placeholder:"FILE"`
	Adapters  string  `help:"Folder of adapters: run all of them. Answers count only from adapters whose training images resembled the image." placeholder:"DIR"`
	Refuse    bool    `help:"Refuse images that do not resemble the training images: report an error instead of a marked answer."`
	Coverage  float64 `help:"Print a prediction set for each image: the labels that cannot be excluded. Sets contain the true label for this fraction of images, such as 0.9." placeholder:"SHARE"`
	Base      string  `help:"Base: a folder, a file, hf:owner/name or embedded. Default: the one that the adapter was trained on." placeholder:"BASE"`
	Precision string  `default:"f32" enum:"auto,f32,bf16,int8" help:"Precision of the base's matrix products: ${enum}. auto: the fastest that the CPU supports. A precision in which an adapter fails its self-test is not used."`
	CSV       bool    `name:"csv" help:"Print CSV: image, label, probability, and one column per label."`
	Out       string  `help:"File to write the answers to: .csv or .parquet." placeholder:"FILE"`
	LeftOut   string  `help:"Write a CSV file that lists every skipped file of a folder and the reason." placeholder:"FILE"`
	Top       int     `default:"1" help:"Number of labels per image in the printed table."`
	Batch     int     `default:"8" help:"Images per forward pass."`
	Workers   int     `placeholder:"N" help:"Workers (default: all cores). The result does not depend on it."`
	trustOptions
	serverOptions
	Images []string `arg:"" sep:"none" name:"image" help:"Image files (PNG, JPEG, GIF, BMP, TIFF, WebP, PNM, DICOM), or folders, which are searched recursively."`
}

// Help returns the long help text.
func (predictOptions) Help() string {
	return `Predicts the label of each image. The adapter file identifies its base, and contains its preprocessing and labels.
An image that cannot be read is reported, the others are predicted, and the exit status is 3.

Examples:

    melo predict --adapter busi.safetensors scans/*.png
    melo predict --adapter busi.safetensors --csv scans/*.png > predictions.csv
    melo predict --adapter busi.safetensors --out answers.parquet scans/
    melo predict --base vit_tiny/ --top 5 photo.jpg
    melo predict --adapter busi.safetensors --coverage 0.9 scans/*.png
    melo predict --adapters adapters/ scan.png
    melo --json predict --adapter busi.safetensors scan.png
    melo predict --server http://127.0.0.1:8080 --adapter busi scans/*.png

Research software, not a medical device.` + exitHelp
}

// Validate rejects invalid option values.
func (o *predictOptions) Validate() error {
	switch {
	case o.Server != "" && (o.Adapter == "" || o.Base != ""):
		return errors.New("with --server give --adapter, the name of an adapter there, and no --base")
	case o.Server == "" && (o.TokenFile != "" || o.ServerCA != "" || o.ClientCert != "" || o.ClientKey != ""):
		return errors.New("--token-file, --server-ca, --client-cert and --client-key go with --server")
	case o.Server != "" && (o.Allow != "" || o.Trust != ""):
		return errors.New("--allow and --trust are about files here: with --server it is the server that refuses adapters")
	case o.Coverage != 0 && (o.Adapters != "" || o.Adapter == ""):
		return errors.New("--coverage goes with one --adapter, and not with --adapters")
	case o.Adapters != "" && (o.Adapter != "" || o.Server != "" || o.CSV || o.Out != ""):
		return errors.New("--adapters goes with neither --adapter nor --server, --csv or --out")
	case o.Adapters != "":
	case o.Coverage != 0 && conformal.Check(o.Coverage) != nil:
		return fmt.Errorf("--%w", conformal.Check(o.Coverage))
	case o.Adapter == "" && o.Base == "":
		return errors.New("give --adapter, --base, or both")
	case o.Batch < 1 || o.Batch > 4096:
		return fmt.Errorf("--batch %d, expected 1 to 4096", o.Batch)
	case o.Top < 1:
		return fmt.Errorf("--top %d, expected at least 1", o.Top)
	}
	return o.checkAnswers()
}

// Run predicts and prints the answers.
func (o *predictOptions) Run(ctx context.Context, s *stdio) error {
	if err := o.findImages(s); err != nil {
		return err
	}
	if o.Server != "" {
		return o.runOnServer(ctx, s)
	}
	if o.Adapters != "" {
		return o.runAll(ctx, s)
	}
	base, adapter, err := o.open(ctx, s)
	if err != nil {
		return err
	}
	defer base.Close()
	doc := predictions.Document{
		Base: base.Path(), Precision: base.Model().Precision.String(), Task: string(adapter.Metadata().Task),
		Labels: adapter.Labels(), Results: []predictions.Prediction{}, Failed: []experiment.FailedImage{}, Notice: notice,
	}
	if adapter.Path() != "" {
		doc.Adapter = &experiment.AdapterReference{Path: adapter.Path(), Digest: adapter.Digest()}
	}
	if err := o.predict(ctx, s, base, adapter, &doc); err != nil {
		return err
	}
	if o.Coverage != 0 {
		for i := range doc.Results {
			r := &doc.Results[i]
			if r.Set, err = adapter.Set(&facade.Prediction{Probabilities: r.Probabilities, Fit: r.Fit}, o.Coverage); err != nil {
				return badInput(err)
			}
		}
	}
	return o.finish(s, &doc)
}

// open opens base and adapter. Without --adapter it returns the base's own classification head.
func (o *predictOptions) open(ctx context.Context, s *stdio) (*facade.Base, *facade.Adapter, error) {
	if err := fetchBase(ctx, s, o.Base); err != nil {
		return nil, nil, err
	}
	precision, err := parsePrecision(o.Precision, facade.Fastest())
	if err != nil {
		return nil, nil, err
	}
	trusting, err := o.trusting()
	if err != nil {
		return nil, nil, err
	}
	options := []facade.Option{trusting, facade.Workers(o.Workers), facade.Batch(min(o.Batch, len(o.Images))), facade.Remember(cacheDir()),
		facade.InPrecision(precision, func(reason string) { s.notef("%s", reason) })}
	if o.Adapter != "" {
		base, adapter, err := facade.OpenFor(o.Adapter, o.Base, options...)
		return base, adapter, badInput(err)
	}
	base, err := facade.Open(o.Base, options...)
	if err != nil {
		return nil, nil, badInput(err)
	}
	adapter, err := base.OwnHead()
	if err != nil {
		return nil, nil, badInput(errors.Join(err, base.Close()))
	}
	return base, adapter, nil
}

// predict fills in the results, in the order of the images.
func (o *predictOptions) predict(ctx context.Context, s *stdio, base *facade.Base, adapter *facade.Adapter, doc *predictions.Document) error {
	progress := s.progress()
	defer progress.Close()
	meter := progress.Start("predicting", 0, int64(len(o.Images)))
	defer meter.Finish()
	return base.PredictFiles(ctx, adapter, o.Images, func(i int, p facade.Prediction, err error) error {
		if text := o.add(doc, i, p, err); text != "" {
			progress.Printf("melo: %s", text)
		}
		meter.Set(int64(i+1), "")
		return nil
	})
}

// add adds the answer for image i to doc. If there is none, it returns the reason in one line.
func (o *predictOptions) add(doc *predictions.Document, i int, p facade.Prediction, err error) (failure string) {
	if err == nil && o.Refuse && p.Unlike() {
		err = fmt.Errorf("%s: %w", o.Images[i], &fit.UnlikeError{Verdict: *p.Fit})
	}
	if err != nil {
		failure = oneLine(err)
		doc.Failed = append(doc.Failed, experiment.FailedImage{Image: o.Images[i], Error: failure})
		return failure
	}
	doc.Results = append(doc.Results, predictions.Prediction{
		Image: o.Images[i], Label: p.Label, Probability: p.Probability, Probabilities: p.Probabilities, Logits: p.Logits, Fit: p.Fit, Remarks: p.Remarks})
	return ""
}

// finish writes and prints the answers. It returns an error if some images could not be read.
func (o *predictOptions) finish(s *stdio, doc *predictions.Document) (err error) {
	if o.Out != "" {
		err = doc.Write(o.Out)
	}
	switch {
	case s.json:
		err = errors.Join(err, s.document(doc))
	case o.CSV:
		err = errors.Join(err, doc.WriteCSV(s.out))
	default:
		lines.Predicted(s.lines(), doc, o.Top)
		if o.Coverage != 0 {
			s.notef("braces: the labels that cannot be excluded; such sets hold the truth for %.4g %% of images like those of the validation", 100*o.Coverage)
		}
		s.aboutAnswers(doc)
	}
	if err != nil {
		return err
	}
	return badInput(doc.Failure())
}

// aboutAnswers prints the remarks of a document, the precision and the notice.
func (s *stdio) aboutAnswers(doc *predictions.Document) {
	for _, line := range doc.Remarks() {
		s.notef("%s", line)
	}
	s.notef("in %s; %s", doc.Precision, notice)
}
