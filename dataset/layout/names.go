// Package layout determines what the folders of a data set mean from their names and nesting: labels, splits,
// masks beside images, copies, or none of these. It works on names, and asks its caller about contents.
package layout

import (
	"path"
	"slices"
	"strings"
	"unicode"
)

// The splits.
const (
	Train = "train"
	Val   = "val"
	Test  = "test"
)

// imageExtensions lists the extensions of image files.
const imageExtensions = " .png .jpg .jpeg .jpe .jfif .gif .bmp .dib .tif .tiff .webp .pnm .pgm .ppm .pbm .dcm .dicom .ima "

// IsImage reports whether a file has the extension of an image.
func IsImage(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext != "" && strings.Contains(imageExtensions, " "+ext+" ")
}

// systemNames lists, in lower case, folders and files that programs leave behind.
var systemNames = map[string]bool{
	"__macosx": true, "@eadir": true, "#recycle": true, "$recycle.bin": true, "system volume information": true, "lost+found": true,
	"thumbs": true, "thumb": true, "thumbnail": true, "_thumbs": true, "thumbnails": true, "_thumbnails": true, "__pycache__": true, "thumbs.db": true, "desktop.ini": true,
	"ehthumbs.db": true, "picasa.ini": true,
}

// Hidden reports whether a file is hidden or left behind by a system or an editor, or is in such a folder.
func Hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") || systemNames[strings.ToLower(part)] {
			return true
		}
	}
	return false
}

// splitWords maps words to splits; filler words may stand beside them.
var splitWords = map[string]string{
	"train": Train, "training": Train, "trn": Train, "trainset": Train, "traindata": Train,
	"val": Val, "valid": Val, "validation": Val, "dev": Val, "eval": Val, "evaluation": Val, "validate": Val, "valset": Val, "valdata": Val, "validationset": Val,
	// as challenges use their test sets
	"test": Test, "testing": Test, "tst": Test, "holdout": Test, "testset": Test, "testdata": Test, "publictest": Val, "privatetest": Test,
}

var filler = map[string]bool{"set": true, "data": true, "dataset": true, "images": true, "image": true, "imgs": true, "img": true, "split": true, "folder": true,
	"hold": true, "out": true, "jpg": true, "jpeg": true, "png": true, "input": true, "samples": true}

// SplitName returns the split that a folder or a value names, in any case and with the usual additions:
// "training_set", "TEST", "val-images".
func SplitName(s string) (string, bool) {
	split, rest := splitWord(s)
	return split, split != "" && rest == 0
}

// SplitIn returns the split that one word of a name says, and the other words: "labels_train" and "TrainLabels" of a set differ in
// the split alone. Numbers and single letters, which only order files, count for nothing.
func SplitIn(s string) (split, others string) {
	var rest []string
	for _, w := range words(s) {
		switch {
		case splitWords[w] != "" && split == "":
			split = splitWords[w]
		case len(w) == 1 || strings.Trim(w, "0123456789") == "":
		default:
			rest = append(rest, w)
		}
	}
	return split, strings.Join(rest, " ")
}

// splitWord returns the split that one of the words of a name means, and the number of words with another
// meaning.
func splitWord(s string) (split string, others int) {
	words := words(s)
	if len(words) == 2 && words[0] == "hold" && words[1] == "out" {
		return Test, 0
	}
	for _, w := range words {
		switch {
		case splitWords[w] != "" && (split == "" || split == splitWords[w]):
			split = splitWords[w]
		case !filler[w]:
			others++
		}
	}
	return split, others
}

// glued returns the split at the beginning or end of a name without a separator: "trainA", "testB". The rest
// must be short, or start with a capital.
func glued(s string) (split, rest string) {
	for word, name := range splitWords {
		if len(word) < 4 || len(s) <= len(word) || !strings.EqualFold(s[:len(word)], word) {
			continue
		}
		tail := s[len(word):]
		if r := rune(tail[0]); (unicode.IsUpper(r) || unicode.IsDigit(r) || len(tail) == 1) && len(tail) < len(s)-len(rest) {
			split, rest = name, tail
		}
	}
	return split, rest
}

// unlabelled reports whether a folder's name says that its images have no label.
func unlabelled(name string) bool {
	switch strings.Join(words(name), "") {
	case "unlabeled", "unlabelled", "unlabel", "nolabel", "nolabels", "unannotated", "unsup", "unsupervised":
		return true
	}
	return false
}

// caseNames reports whether folder names look like numbers of patients or cases: at least three names that
// consist of the same prefix and at least two digits.
func caseNames(names []string) bool {
	if len(names) < 3 {
		return false
	}
	head := strings.TrimRight(names[0], "0123456789")
	for _, n := range names {
		digits, ok := strings.CutPrefix(n, head)
		if !ok || !isDigits(digits) || len(digits) < 2 {
			return false
		}
	}
	return true
}

// words returns the words of a name in lower case. Anything but letters and digits separates words.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// maskWords lists words for companions of images: masks, outlines, drawings over it.
var maskWords = map[string]bool{"mask": true, "masks": true, "segmentation": true, "segmentations": true, "seg": true, "segs": true, "groundtruth": true,
	"gt": true, "annotation": true, "annotations": true, "roi": true, "rois": true, "contour": true, "contours": true, "overlay": true, "overlays": true,
	"heatmap": true, "heatmaps": true, "superpixels": true, "lesion_mask": true, "bbox": true, "bboxes": true}

// MaskWord reports whether a word means masks or other companions of images.
func MaskWord(word string) bool { return maskWords[strings.ToLower(word)] }

// maskFolder reports whether a folder is named like masks.
func maskFolder(name string) bool {
	w := words(name)
	if len(w) == 2 && w[0] == "ground" && w[1] == "truth" {
		return true
	}
	if len(w) > 0 && (w[0] == "no" || w[0] == "with" || w[0] == "without" || w[0] == "non") {
		return false // masks on faces, for example
	}
	return len(w) > 0 && len(w) <= 3 && (maskWords[w[len(w)-1]] || maskWords[w[0]] && (len(w) == 1 || filler[w[1]]))
}

// imageFolder reports whether a folder has a name for images without another meaning.
func imageFolder(name string) bool {
	w := words(name)
	return len(w) > 0 && !slices.ContainsFunc(w, func(s string) bool {
		return !filler[s] && s != "original" && s != "originals" && s != "scans" && s != "pictures" && s != "photos" && s != "raw"
	})
}

// partWords lists words for parts of a set, and patients, rather than labels.
var partWords = map[string]bool{"part": true, "fold": true, "batch": true, "p": true, "s": true, "patient": true, "subject": true, "study": true,
	"series": true, "case": true, "scan": true}

// PartName reports whether a folder's name only divides images and is not a label: "images", "images_part_2",
// "001".
func PartName(name string) bool {
	return slices.ContainsFunc(words(name), func(w string) bool {
		w = strings.TrimRight(w, "0123456789")
		return w == "" || filler[w] || splitWords[w] != "" || partWords[w]
	})
}

// maskStem returns the stem of the image that a name such as "x_mask", "x_mask_1" or "x-segmentation" belongs
// to.
func maskStem(stem string) (string, bool) {
	i := strings.LastIndexAny(stem, "_-. ")
	if i > 0 && isDigits(stem[i+1:]) {
		if j := strings.LastIndexAny(stem[:i], "_-. "); j > 0 && maskWords[strings.ToLower(stem[j+1:i])] {
			return stem[:j], true
		}
	}
	if i > 0 && maskWords[strings.ToLower(stem[i+1:])] {
		return stem[:i], true
	}
	return "", false
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// stem returns a file's name without folder and extension.
func stem(name string) string {
	base := path.Base(name)
	return strings.TrimSuffix(base, path.Ext(base))
}
