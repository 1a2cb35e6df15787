package main

import (
	"melo.example/melo/experiment"
	"melo.example/melo/imaging/processor"
)

// trainSettings are the options that commands which make many runs have, too.
type trainSettings struct {
	trainRecipe
	dataSource
	prepareOptions
	computeOptions
}

// settings are the options of a run, without what is the run's own.
func (o *trainSettings) settings() experiment.Options {
	prepare := processor.Override{Mean: o.Mean, Std: o.Std, Crop: o.CropPct, Interpolation: o.Interpolation}
	return experiment.Options{Prepare: prepare, Recipe: experiment.Recipe(o.trainRecipe), Source: *o.source(),
		Compute: experiment.Compute(o.computeOptions)}
}

// trainRecipe is experiment.Recipe as flags: how to train.
type trainRecipe struct {
	Rank     int     `default:"8" group:"What is trained:" help:"Rank of the matrices; the paper has 4."`
	Alpha    float32 `placeholder:"ALPHA" group:"What is trained:" help:"Scale is alpha/rank. Default: the rank. Without --lr the step is the same whatever the scale."`
	Sites    string  `default:"q,v" group:"What is trained:" help:"Maps with matrices beside them: q, k, v, proj, fc1, fc2, or all; NAME=RANK gives one its own rank."`
	Blocks   string  `default:"all" group:"What is trained:" help:"Blocks with matrices: all, last:N, or numbers and ranges from 0 such as 0,2,8-11; with ,pool: attention pooling, too."`
	RSLoRA   bool    `name:"rslora" group:"What is trained:" help:"Scale is alpha/sqrt(rank)."`
	HeadInit string  `default:"probe" enum:"probe,zero,uniform" group:"What is trained:" help:"First head: probe, the linear probe of the bare base; zero; or uniform as PyTorch's linear layers."`
	Dropout  float32 `default:"0" group:"What is trained:" help:"Share of the inputs of the first matrix that is dropped."`

	Epochs         int     `default:"${epochs}" group:"How:" help:"Epochs at most."`
	Batch          int     `default:"16" group:"How:" help:"Images of an optimizer step."`
	Step           float64 `default:"1" placeholder:"FACTOR" group:"How:" help:"Without --lr: so many times the safe step."`
	MinLR          float64 `name:"min-lr" default:"0" group:"How:" help:"Learning rate at the end of the cosine."`
	LRUpdate       string  `name:"lr-update" default:"step" enum:"step,epoch" group:"How:" help:"The cosine changes the learning rate at each step or at each epoch, as LoRA-ViT's scripts do."`
	LoRAPlus       float32 `name:"lora-plus" placeholder:"RATIO" group:"How:" help:"Learning rate of the second matrix over that of the first (LoRA+). Default: each its own safe one; with --lr 1."`
	Warmup         float64 `default:"1" group:"How:" help:"Epochs of linear warm-up."`
	WeightDecay    float64 `default:"0.01" group:"How:" help:"Decoupled weight decay of matrices."`
	Clip           float64 `default:"1" group:"How:" help:"Greatest norm of the gradient; 0: none."`
	Loss           string  `default:"ce" enum:"ce,focal" group:"How:" help:"ce: cross-entropy; focal: what is easy already weighs less."`
	Gamma          float64 `default:"2" group:"How:" help:"Exponent of the focal loss."`
	LabelSmoothing float64 `default:"0" group:"How:" help:"Label smoothing, 0 to 1."`
	ClassWeights   string  `default:"none" enum:"none,balanced" group:"How:" help:"none, or balanced: rare labels weigh more."`
	EMA            float64 `name:"ema" default:"-1" placeholder:"DECAY" group:"How:" help:"Validate and keep an exponential moving average of what is trained, with this decay a step, such as 0.99; 0: none. Default (-1): over two epochs."`
	Keep           string  `default:"auto" enum:"auto,best,last" group:"How:" help:"The epoch that is kept: best on validation, last, or auto: best with 1000 validation images or more, else last."`
	Patience       int     `default:"10" group:"How:" help:"Stop after so many epochs without a better validation AUC, once the rate has fallen to a tenth; 0: never. Where the last epoch is kept (--keep) a run goes to its end."`
	Sensitivity    float64 `placeholder:"SHARE" group:"How:" help:"Choose each label's threshold for this sensitivity on validation. Default: the greatest sum of sensitivity and specificity."`

	Augment      bool    `default:"true" negatable:"" group:"Augmentation:" help:"Vary the training images; --no-augment switches all of it off."`
	Flip         bool    `default:"true" negatable:"" group:"Augmentation:" help:"Mirror left and right; --no-flip where laterality matters."`
	Mirror       bool    `default:"true" negatable:"" group:"Augmentation:" help:"With --flip, the adapter answers with the mean over an image and its mirror image: better, at twice the time to predict."`
	Refuse       bool    `group:"Augmentation:" help:"The adapter refuses images that are not like its training images, instead of marking them."`
	FlipVertical bool    `group:"Augmentation:" help:"Mirror top and bottom."`
	Crop         float64 `default:"0.7" group:"Augmentation:" help:"Smallest share of the area that a random crop keeps; 1: no crops."`
	Rotate       float64 `default:"10" group:"Augmentation:" help:"Greatest rotation either way, in degrees."`
	Brightness   float64 `default:"0.15" group:"Augmentation:" help:"Greatest relative change of brightness."`
	Contrast     float64 `default:"0.15" group:"Augmentation:" help:"Greatest relative change of contrast."`
}

// dataSource is experiment.Source as flags: which data, and how it is divided.
type dataSource struct {
	divideOptions
	readOptions
}

// divideOptions say how data is divided.
type divideOptions struct {
	ValSplit        float64 `default:"0.15" group:"Data:" help:"Share of samples for validation where no such split is given; 0: none."`
	TestSplit       float64 `default:"0.15" group:"Data:" help:"Share of samples that is set aside for \"melo eval\" where no split is given; 0: none."`
	SplitSeed       uint64  `default:"1" group:"Data:" help:"Seed of the split."`
	Folds           int     `default:"0" group:"Data:" help:"Cross-validation: divide into K folds instead; 0: none." placeholder:"K"`
	AllowDuplicates bool    `group:"Data:" help:"Go on when identical images are on both sides of a given split."`
	MaxBad          int     `default:"0" group:"Data:" help:"Unreadable images that are left out before the run fails."`
	LeftOut         string  `group:"Data:" help:"Write the name of every file that is left out, cannot be read or is a copy, and why, as CSV." placeholder:"FILE"`
}

// readOptions is experiment.Reading as flags: how data is read. All commands that read data have them.
type readOptions struct {
	Layout         string   `enum:",classes,splits,leaves,table" default:"" group:"Reading data:" help:"What folders mean. classes: those at the top are the labels; splits: those at the top that are named as splits are, labels lie below; leaves: the innermost folder is the label; table: a table in the folder has the labels. Default: found out, and refused where two readings are possible." placeholder:"READING"`
	ImageColumn    string   `group:"Reading data:" help:"Column of a table with the images: paths, names, or names without extension. Default: the usual names." placeholder:"COLUMN"`
	Images         string   `group:"Reading data:" help:"Folder, archive or DICOMDIR that the images of a table are in. Default: where the table is." placeholder:"DIR"`
	LabelColumn    string   `group:"Reading data:" help:"Column with the label. Default: the usual names." placeholder:"COLUMN"`
	LabelColumns   []string `group:"Reading data:" help:"Columns of 0 and 1, one a label." placeholder:"COLUMN"`
	GroupColumn    string   `group:"Reading data:" help:"Column with the patient; a patient is never split." placeholder:"COLUMN"`
	GroupPattern   string   `group:"Reading data:" help:"Regular expression for the patient in the path of an image, as '([0-9]+)_[0-9]+[.]': its groups, or all that it matches. Every image must match." placeholder:"REGEX"`
	SplitColumn    string   `group:"Reading data:" help:"Column with train, val and test." placeholder:"COLUMN"`
	SplitFiles     []string `name:"split-file" sep:"none" group:"Reading data:" help:"List of images of a split: SPLIT=FILE, or a file whose name says the split, such as train_val_list.txt. May be given several times." placeholder:"FILE"`
	Where          []string `sep:"none" group:"Reading data:" help:"Rows that count: COLUMN=VALUE or COLUMN!=VALUE. May be given several times: all must hold." placeholder:"CONDITION"`
	Task           string   `enum:",multiclass,multilabel" default:"" group:"Reading data:" help:"multiclass: one label an image; multilabel: any number. Default: the data tells." placeholder:"TASK"`
	LabelSeparator string   `group:"Reading data:" help:"What stands between several findings in a cell; none: a cell is one label. Default: found out." placeholder:"TEXT"`
	Uncertain      string   `enum:",ignore,positive,negative" default:"" group:"Reading data:" help:"What -1 means in a column of 0 and 1: ignore leaves this label of the image out of the loss and the scores; positive, negative. Default: refused." placeholder:"POLICY"`
	DropUnlabelled bool     `group:"Reading data:" help:"Leave out rows whose label is missing."`
	AllowMissing   bool     `group:"Reading data:" help:"Leave out rows whose image is not there."`
	Page           string   `group:"Reading data:" help:"Page or frame of files with several: a number from 1, or all, each as an image. Default: the first." placeholder:"N"`
	Depth          string   `group:"Reading data:" help:"What is white in images of more than 8 bits: stored (65535), max (the greatest sample of each image) or bits=12 (4095). Default: stored; refused where labels differ in it." placeholder:"DEPTH"`
	Window         string   `group:"Reading data:" help:"Window through which DICOM objects are seen: CENTER,WIDTH (40,400 for soft tissue in CT); the name of one of their windows, or #2 for the second; full; range. Default: the object's own VOI LUT or first window, else the range of the image." placeholder:"WINDOW"`
}

// source are the options as those of an experiment.
func (o *dataSource) source() *experiment.Source {
	d := &o.divideOptions
	return &experiment.Source{ValSplit: d.ValSplit, TestSplit: d.TestSplit, SplitSeed: d.SplitSeed, Folds: d.Folds,
		AllowDuplicates: d.AllowDuplicates, MaxBad: d.MaxBad, LeftOut: d.LeftOut, Reading: experiment.Reading(o.readOptions)}
}

// computeOptions are experiment.Compute as flags: the form of the base, and the machine.
type computeOptions struct {
	ImageSize int    `aliases:"size" placeholder:"N" group:"Output and machine:" help:"Side of the input in pixels; position embeddings are resized for it. Default: the base's own."`
	Pool      string `placeholder:"HOW" group:"Output and machine:" help:"How tokens become the features that the head sees: class (the class token), mean (of the patches) or class+mean (both, side by side, as Virchow and DINOv2's head have it). Default: as the base does."`
	Precision string `default:"auto" enum:"auto,f32,bf16,int8" aliases:"base-precision" group:"Output and machine:" help:"Precision of the base's products: ${enum}. auto: bf16 where the CPU has it, else f32. The numbers that are trained are f32 always."`
	DType     string `name:"dtype" default:"f32" enum:"f32,bf16" group:"Output and machine:" help:"Numbers in the adapter file: f32 or bf16."`
	Pass      int    `placeholder:"N" group:"Output and machine:" help:"Images of a pass; fewer need less memory. The result does not depend on it. Default: 8, or as many as keep 1.5 GB for the backward pass."`
	Workers   int    `placeholder:"N" group:"Output and machine:" help:"Workers (default: all cores). The result does not depend on it."`
}
