package dataset

import "melo.example/melo/dataset/layout"

// Options configures how a data set is read. The zero value determines everything automatically, reports its
// decisions (see [Dataset.Notes]), and returns an error if there is more than one interpretation.
type Options struct {
	// Labels fixes the names and their order, as the evaluation of an adapter requires. A label in the data
	// that is not among them is an error; one without samples is not. Empty: the labels found, sorted.
	Labels []string
	// Task says whether an image has one label or any number. Empty: determined from the data. Binary and
	// MultiClass are equivalent.
	Task Task

	// Layout says how to interpret folders.
	Layout Layout

	// ImageColumn, LabelColumn, GroupColumn and SplitColumn name columns of a table. Empty: found by their
	// usual names. A named column must exist.
	ImageColumn, LabelColumn, GroupColumn, SplitColumn string
	// GroupPattern is a regular expression for the patient in the path of an image: its groups, or all that it matches.
	// Every image must match. Empty: names of published data sets are known.
	GroupPattern string
	// LabelColumns names the columns of 0 and 1, one a label. Empty: where no column has the name of labels, all columns
	// that hold only 0 and 1 are labels.
	LabelColumns []string
	// Images is the folder or archive with the images of a table. Empty: the table's folder.
	Images string
	// SplitFiles are lists of images, as "train=FILE" or files named after a split. Images in no list are left
	// out.
	SplitFiles []string
	// Where keeps the rows of a table that satisfy every condition: "COLUMN=VALUE" or "COLUMN!=VALUE".
	Where []string
	// Separator separates several findings in a label column; "none": a cell is one label; empty: determined
	// from the data.
	Separator string
	// Uncertain says what -1 in a label column of 0 and 1 means. Empty: an error.
	Uncertain Uncertain
	// DropUnlabelled leaves out rows without a label, which are otherwise an error.
	DropUnlabelled bool
	// AllowMissing leaves out rows whose image does not exist, which are otherwise an error.
	AllowMissing bool

	// Depth says how to treat images with more than 8 bits; see [imaging.ParseDepth]. Empty: not chosen; it is
	// then an error if labels differ in depth.
	Depth string
	// Page is the page to take from files with several, counted from 1. AllPages takes every page as an image.
	// NoPage takes the first, and adds a note.
	Page int
}

// Special values of [Options.Page].
const (
	NoPage   = 0  // the first page, with a note
	AllPages = -1 // every page is an image
)

// Layout is an interpretation of folders: one of the layout package, or LayoutTable.
type Layout = layout.Reading

// LayoutTable is for a folder with a table of labels, whatever its folders are.
const LayoutTable Layout = "table"

// Uncertain is the meaning of -1 in a label column of 0 and 1.
type Uncertain string

// The meanings of uncertain findings.
const (
	UncertainRefuse   Uncertain = ""
	UncertainIgnore   Uncertain = "ignore" // unknown: this label of this image is left out of loss and scores
	UncertainPositive Uncertain = "positive"
	UncertainNegative Uncertain = "negative"
)

// Unknown is the target of a label if it is not known whether a sample has it.
const Unknown float32 = -1

// namesColumns reports whether the options name any column of a table.
func (o Options) namesColumns() bool {
	return o.ImageColumn != "" || o.GroupColumn != "" || o.SplitColumn != "" || o.LabelColumn != "" || len(o.LabelColumns) > 0 || len(o.Where) > 0
}
