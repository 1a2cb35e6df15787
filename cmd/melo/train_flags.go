package main

import (
	"melo.example/melo/experiment"
	"melo.example/melo/imaging/processor"
)

// trainSettings are the options shared by the commands that train.
type trainSettings struct {
	trainRecipe
	dataSource
	prepareOptions
	computeOptions
}

// settings returns the options of a run, without those of a single command.
func (o *trainSettings) settings() experiment.Options {
	prepare := processor.Override{Mean: o.Mean, Std: o.Std, Crop: o.CropPct, Interpolation: o.Interpolation}
	return experiment.Options{Prepare: prepare, Recipe: experiment.Recipe(o.trainRecipe), Source: *o.source(),
		Compute: experiment.Compute(o.computeOptions)}
}

// trainRecipe defines the flags of experiment.Recipe: how to train.
type trainRecipe struct {
	Rank     int     `default:"8" group:"Trainable parameters:" help:"Rank of the low-rank matrices. The MeLo paper uses 4."`
	Alpha    float32 `placeholder:"ALPHA" group:"Trainable parameters:" help:"The matrices are scaled by alpha/rank. Default: the rank. Without --lr the size of steps does not depend on it."`
	Sites    string  `default:"q,v" group:"Trainable parameters:" help:"Linear layers that get low-rank matrices: q, k, v, proj, fc1, fc2, or all; NAME=RANK sets the rank of one."`
	Blocks   string  `default:"all" group:"Trainable parameters:" help:"Blocks that get low-rank matrices: all, last:N, or numbers and ranges from 0 such as 0,2,8-11. Append ,pool to include attention pooling."`
	RSLoRA   bool    `name:"rslora" group:"Trainable parameters:" help:"Scale by alpha/sqrt(rank) instead of alpha/rank."`
	HeadInit string  `default:"probe" enum:"probe,zero,uniform" group:"Trainable parameters:" help:"Initial head: probe (the linear probe of the frozen base), zero, or uniform (as PyTorch's linear layers)."`
	Dropout  float32 `default:"0" group:"Trainable parameters:" help:"Dropout rate at the input of the low-rank matrices."`

	Epochs         int     `default:"${epochs}" group:"Training:" help:"Maximum number of epochs."`
	Batch          int     `default:"16" group:"Training:" help:"Images per optimizer step."`
	Step           float64 `default:"1" placeholder:"FACTOR" group:"Training:" help:"Without --lr: multiplies the learning rates derived from the base."`
	MinLR          float64 `name:"min-lr" default:"0" group:"Training:" help:"Final learning rate of the cosine schedule."`
	LRUpdate       string  `name:"lr-update" default:"step" enum:"step,epoch" group:"Training:" help:"Update the learning rate at each step or at each epoch (as LoRA-ViT's scripts do)."`
	LoRAPlus       float32 `name:"lora-plus" placeholder:"RATIO" group:"Training:" help:"Ratio of the learning rates of B and A (LoRA+). Default: both derived from the base; with --lr 1."`
	Warmup         float64 `default:"1" group:"Training:" help:"Epochs of linear warm-up."`
	WeightDecay    float64 `default:"0.01" group:"Training:" help:"Decoupled weight decay of weight matrices."`
	Clip           float64 `default:"1" group:"Training:" help:"Maximum gradient norm; 0: no clipping."`
	Loss           string  `default:"ce" enum:"ce,focal" group:"Training:" help:"Loss: ce (cross-entropy) or focal (focal loss, which gives easy examples less weight)."`
	Gamma          float64 `default:"2" group:"Training:" help:"Exponent of the focal loss."`
	LabelSmoothing float64 `default:"0" group:"Training:" help:"Label smoothing, 0 to 1."`
	ClassWeights   string  `default:"none" enum:"none,balanced" group:"Training:" help:"Class weights in the loss: none, or balanced (rare labels weigh more)."`
	EMA            float64 `name:"ema" default:"-1" placeholder:"DECAY" group:"Training:" help:"Decay per step of an exponential moving average of the trained parameters, which is validated and kept, such as 0.99; 0: no average. Default (-1): averages over about two epochs."`
	Keep           string  `default:"auto" enum:"auto,best,last" group:"Training:" help:"Epoch to keep: best (on validation), last, or auto (best with at least 1000 validation images, else last)."`
	Patience       int     `default:"10" group:"Training:" help:"Stop after so many epochs without a better validation AUC, once the learning rate has fallen to a tenth; 0: never. Ignored if the last epoch is kept (--keep)."`
	Sensitivity    float64 `placeholder:"SHARE" group:"Training:" help:"Choose each label's threshold to reach this sensitivity on validation. Default: maximize the sum of sensitivity and specificity."`

	Augment      bool    `default:"true" negatable:"" group:"Augmentation:" help:"Augment training images; --no-augment turns all augmentation off."`
	Flip         bool    `default:"true" negatable:"" group:"Augmentation:" help:"Flip images horizontally; use --no-flip if left and right matter."`
	Mirror       bool    `default:"true" negatable:"" group:"Augmentation:" help:"With --flip: predict the mean over an image and its mirror image. More accurate, but prediction takes twice as long."`
	Refuse       bool    `group:"Augmentation:" help:"Make the adapter refuse images that do not resemble its training images, instead of marking them."`
	FlipVertical bool    `group:"Augmentation:" help:"Flip images vertically."`
	Crop         float64 `default:"0.7" group:"Augmentation:" help:"Minimum fraction of the area that a random crop keeps; 1: no crops."`
	Rotate       float64 `default:"10" group:"Augmentation:" help:"Maximum rotation in either direction, in degrees."`
	Brightness   float64 `default:"0.15" group:"Augmentation:" help:"Maximum relative change of brightness."`
	Contrast     float64 `default:"0.15" group:"Augmentation:" help:"Maximum relative change of contrast."`
}

// dataSource defines the flags of experiment.Source: which data, and how to split it.
type dataSource struct {
	divideOptions
	readOptions
}

// divideOptions say how to split the data.
type divideOptions struct {
	ValSplit        float64 `default:"0.15" group:"Data:" help:"Fraction of samples for validation if the data has no such split; 0: none."`
	TestSplit       float64 `default:"0.15" group:"Data:" help:"Fraction of samples to set aside for \"melo eval\" if the data has no splits; 0: none."`
	SplitSeed       uint64  `default:"1" group:"Data:" help:"Random seed of the split."`
	Folds           int     `default:"0" group:"Data:" help:"Divide the data into K folds for cross-validation; 0: no folds." placeholder:"K"`
	AllowDuplicates bool    `group:"Data:" help:"Continue even if identical images occur on both sides of a given split."`
	MaxBad          int     `default:"0" group:"Data:" help:"Maximum number of unreadable images to skip."`
	LeftOut         string  `group:"Data:" help:"Write a CSV file that lists every file that was skipped, could not be read or is a duplicate, with the reason." placeholder:"FILE"`
}

// readOptions defines the flags of experiment.Reading: how to read the data. All commands that read data have
// them.
type readOptions struct {
	Layout         string   `enum:",classes,splits,leaves,table" default:"" group:"Reading data:" help:"How folders are read. classes: top-level folders are labels; splits: top-level folders are train, val and test, with labels below; leaves: the innermost folder is the label; table: a table in the folder has the labels. Default: detected; an error if ambiguous." placeholder:"READING"`
	ImageColumn    string   `group:"Reading data:" help:"Table column with images: paths, or names with or without extension. Default: a column with a usual name." placeholder:"COLUMN"`
	Images         string   `group:"Reading data:" help:"Folder, archive or DICOMDIR with the images of a table. Default: the folder of the table." placeholder:"DIR"`
	LabelColumn    string   `group:"Reading data:" help:"Table column with the label. Default: a column with a usual name." placeholder:"COLUMN"`
	LabelColumns   []string `group:"Reading data:" help:"Table columns of 0 and 1, one per label." placeholder:"COLUMN"`
	GroupColumn    string   `group:"Reading data:" help:"Table column with the patient. All images of a patient go to the same split." placeholder:"COLUMN"`
	GroupPattern   string   `group:"Reading data:" help:"Regular expression that finds the patient in the path of an image, such as '([0-9]+)_[0-9]+[.]': its capture groups, or the whole match. Every image must match." placeholder:"REGEX"`
	SplitColumn    string   `group:"Reading data:" help:"Table column with train, val or test." placeholder:"COLUMN"`
	SplitFiles     []string `name:"split-file" sep:"none" group:"Reading data:" help:"List of the images of a split: SPLIT=FILE, or a file whose name contains the split, such as train_val_list.txt. May be repeated." placeholder:"FILE"`
	Where          []string `sep:"none" group:"Reading data:" help:"Use only rows that meet this condition: COLUMN=VALUE or COLUMN!=VALUE. May be repeated: all must hold." placeholder:"CONDITION"`
	Task           string   `enum:",multiclass,multilabel" default:"" group:"Reading data:" help:"Task: multiclass (one label per image) or multilabel (any number). Default: derived from the data." placeholder:"TASK"`
	LabelSeparator string   `group:"Reading data:" help:"Separator between several labels in one cell; none: a cell is one label. Default: detected." placeholder:"TEXT"`
	Uncertain      string   `enum:",ignore,positive,negative" default:"" group:"Reading data:" help:"Meaning of -1 in a column of 0 and 1: ignore (the label of this image is left out of loss and metrics), positive or negative. Default: an error." placeholder:"POLICY"`
	DropUnlabelled bool     `group:"Reading data:" help:"Skip rows without a label."`
	AllowMissing   bool     `group:"Reading data:" help:"Skip rows whose image does not exist."`
	Page           string   `group:"Reading data:" help:"Page or frame of files that have several: a number from 1, or all, each as an image of its own. Default: the first." placeholder:"N"`
	Depth          string   `group:"Reading data:" help:"White level of images with more than 8 bits: stored (65535), max (the maximum of each image) or bits=12 (4095). Default: stored; an error if the depth differs between labels." placeholder:"DEPTH"`
	Window         string   `group:"Reading data:" help:"Window for DICOM objects: CENTER,WIDTH (40,400 for soft tissue in CT); the name of one of their windows, or #2 for the second; full; range. Default: the object's own VOI LUT or first window, else the range of the image." placeholder:"WINDOW"`
}

// source converts the options to those of an experiment.
func (o *dataSource) source() *experiment.Source {
	d := &o.divideOptions
	return &experiment.Source{ValSplit: d.ValSplit, TestSplit: d.TestSplit, SplitSeed: d.SplitSeed, Folds: d.Folds,
		AllowDuplicates: d.AllowDuplicates, MaxBad: d.MaxBad, LeftOut: d.LeftOut, Reading: experiment.Reading(o.readOptions)}
}

// computeOptions defines the flags of experiment.Compute: precision and size of the base, and workers.
type computeOptions struct {
	ImageSize int    `aliases:"size" placeholder:"N" group:"Output and machine:" help:"Side of the input in pixels; position embeddings are resized for it. Default: the base's own."`
	Pool      string `placeholder:"HOW" group:"Output and machine:" help:"How tokens are pooled into the features for the head: class (the class token), mean (of the patches) or class+mean (both concatenated, as for Virchow and the linear head of DINOv2). Default: as the base does."`
	Precision string `default:"auto" enum:"auto,f32,bf16,int8" aliases:"base-precision" group:"Output and machine:" help:"Precision of the base's matrix products: ${enum}. auto: bf16 if the CPU supports it, else f32. Trainable parameters are always f32."`
	DType     string `name:"dtype" default:"f32" enum:"f32,bf16" group:"Output and machine:" help:"Number format of the adapter file: f32 or bf16."`
	Pass      int    `placeholder:"N" group:"Output and machine:" help:"Images per forward and backward pass; fewer need less memory. The result does not depend on it. Default: 8, or as many as fit into 1.5 GB."`
	Workers   int    `placeholder:"N" group:"Output and machine:" help:"Workers (default: all cores). The result does not depend on it."`
}
