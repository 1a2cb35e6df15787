package dataset

import "melo.example/melo/dataset/layout"

// Options says how to read a data set. The zero value finds out, says what it has decided (see [Dataset.Notes]), and refuses
// what can be read in more than one way.
type Options struct {
	// Labels fixes the names and their order, as an adapter that is evaluated must; a label that is not
	// among them is an error, and a label without samples is not. Empty: the labels found, sorted.
	Labels []string
	// Task says whether an image has one label or any number; empty: the data tells. Binary and MultiClass are alike.
	Task Task

	// Layout says how folders are meant.
	Layout Layout

	// ImageColumn, LabelColumn, GroupColumn and SplitColumn name columns of a table. Empty: those with the usual names.
	// A column that is named must exist.
	ImageColumn, LabelColumn, GroupColumn, SplitColumn string
	// GroupPattern is a regular expression for the patient in the path of an image: its groups, or all that it matches.
	// Every image must match. Empty: names of published data sets are known.
	GroupPattern string
	// LabelColumns names the columns of 0 and 1, one a label. Empty: where no column has the name of labels, all columns
	// that hold only 0 and 1 are labels.
	LabelColumns []string
	// Images is the folder or the archive that the images of a table are in; empty: where the table is.
	Images string
	// SplitFiles are lists of images, "train=FILE" or files whose names say the split. Images in none are left out.
	SplitFiles []string
	// Where keeps the rows of a table that meet every condition: "COLUMN=VALUE" or "COLUMN!=VALUE".
	Where []string
	// Separator stands between several findings in a label column; "none": a cell is one label; empty: found out.
	Separator string
	// Uncertain says what -1 in a column of 0 and 1 means; empty: it is an error.
	Uncertain Uncertain
	// DropUnlabelled leaves out rows whose label is missing; otherwise they are an error.
	DropUnlabelled bool
	// AllowMissing leaves out rows whose image is not there; otherwise they are an error.
	AllowMissing bool

	// Depth is what was decided about images of more than 8 bits, as [imaging.ParseDepth] takes it; empty: nothing was,
	// and labels that differ in it are refused.
	Depth string
	// Page is the page that is taken of files with several, from 0, AllPages every one of them as an image; NoPage: the
	// first, and a note says so.
	Page int
}

// Values of [Options.Page]. A page is named from 1 on, as people count.
const (
	NoPage   = 0  // the first, with a note
	AllPages = -1 // every page is an image
)

// Layout is a way to take folders for labels and splits: one of the layout package, or LayoutTable.
type Layout = layout.Reading

// LayoutTable is for a folder in which a table has the labels, whatever its folders are.
const LayoutTable Layout = "table"

// Uncertain is what a value of -1 in a column of 0 and 1 means.
type Uncertain string

// What uncertain findings count as.
const (
	UncertainRefuse   Uncertain = ""
	UncertainIgnore   Uncertain = "ignore" // not known: this label of this image is left out of loss and scores
	UncertainPositive Uncertain = "positive"
	UncertainNegative Uncertain = "negative"
)

// Unknown is the target of a label of which is not known whether a sample has it.
const Unknown float32 = -1

// namesColumns tells whether any column of a table is named.
func (o Options) namesColumns() bool {
	return o.ImageColumn != "" || o.GroupColumn != "" || o.SplitColumn != "" || o.LabelColumn != "" || len(o.LabelColumns) > 0 || len(o.Where) > 0
}
