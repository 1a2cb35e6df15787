package dataset

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/store"
	"melo.example/melo/dataset/table"
	"melo.example/melo/dicom"
	"melo.example/melo/imaging"
)

// Open reads the data set at path: a folder, a .zip or .tar archive, a table (.csv, .tsv, .jsonl, .parquet), a
// DICOMDIR, or an .npz archive with MedMNIST's names. In folders and archives it finds tables of labels, class
// folders with or without splits, and WebDataset samples. Close the result after use.
func Open(path string, opt Options) (*Dataset, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	d := &Dataset{Root: path}
	o := opener{d: d, opt: opt}
	if err := o.meansSomething(path, st.IsDir()); err != nil {
		return nil, err
	}
	if st.IsDir() {
		err = o.folder(path)
	} else {
		err = o.file(path)
	}
	if err == nil {
		err = d.check(path, opt)
	}
	if err == nil && d.Task == MultiLabel && (opt.Task == Binary || opt.Task == MultiClass) {
		err = badf("%s: images have any number of the labels %s: expected one each", path, listed(d.Labels))
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// opener reads one data set.
type opener struct {
	d      *Dataset
	opt    Options
	listed map[string]bool // files that count as images because a DICOMDIR lists them
}

// meansSomething returns an error for options that do not apply to what is at a path: a user expects them to
// have an effect.
func (o *opener) meansSomething(path string, isDir bool) error {
	ext := strings.ToLower(filepath.Ext(path))
	isTable := !isDir && table.Is(path)
	hasTable := isDir && isRegular(filepath.Join(path, "labels.csv"))
	switch {
	case o.opt.Images != "" && !isTable && !hasTable:
		return badf("%s: --images says where the images of a table are: give the table, not a folder or an archive", path)
	case isTable && o.opt.Layout != layout.Auto && o.opt.Layout != LayoutTable:
		return badf("%s: --layout %s is about folders, and this is a table: give the folder", path, o.opt.Layout)
	case !isDir && (ext == ".npz" || ext == ".parquet") && o.opt.Layout != layout.Auto:
		return badf("%s: --layout is about folders, and this is one file", path)
	case !isDir && ext == ".npz" && len(o.opt.SplitFiles) > 0:
		return badf("%s: --split-file names files of images, and the images of an archive of arrays have no names", path)
	}
	return nil
}

// unread maps file types that are not supported to advice.
var unread = map[string]string{
	".h5":     "HDF5 is not read: export its images, or take the data set's .npz, .zip or Parquet form",
	".hdf5":   "HDF5 is not read: export its images, or take the data set's .npz, .zip or Parquet form",
	".mat":    "MATLAB files are not read: export the images",
	".xlsx":   "Excel files are not read: save the table as CSV (UTF-8)",
	".xls":    "Excel files are not read: save the table as CSV (UTF-8)",
	".json":   "JSON tables are not read: write one object a line (.jsonl), or CSV",
	".gz":     "compressed archives are not read in place: unpack it first",
	".tgz":    "compressed archives are not read in place: unpack it first",
	".bz2":    "compressed archives are not read in place: unpack it first",
	".xz":     "compressed archives are not read in place: unpack it first",
	".7z":     "7-Zip archives are not read: unpack it first",
	".rar":    "RAR archives are not read: unpack it first",
	".nii":    "NIfTI volumes are not read: export slices as PNG",
	".npy":    "a single array has no labels: expected an .npz archive with MedMNIST's names",
	".arrow":  "Arrow files are not read: save the data as Parquet",
	".record": "TFRecord files are not read: export the images",
}

// file reads a data set that is a single file.
func (o *opener) file(p string) error {
	ext := strings.ToLower(filepath.Ext(p))
	switch {
	case ext == ".npz":
		return o.d.openNPZ(p, o.opt)
	case ext == ".parquet":
		return o.parquet([]string{p})
	case store.IsArchive(p):
		st, err := store.Open(p)
		if err != nil {
			return badf("%v", err)
		}
		return o.stored(st)
	case table.Is(p):
		return o.table(p)
	case isDirectory(p):
		st, err := o.where(p)
		if err != nil {
			return err
		}
		o.d.Root = st.Root()
		return o.stored(st)
	}
	if what := unread[ext]; what != "" {
		return badf("%s: %s", p, what)
	}
	return badf("%s: expected a folder, a table (.csv, .tsv, .jsonl, .parquet), an archive (.zip, .tar), a DICOMDIR or an .npz archive", p)
}

// folder reads a folder. If it has a labels.csv, it is not searched.
func (o *opener) folder(p string) error {
	if o.opt.Layout == layout.Auto || o.opt.Layout == LayoutTable {
		if name := filepath.Join(p, "labels.csv"); isRegular(name) {
			return o.table(name)
		}
	}
	st, err := store.Open(p)
	if err != nil {
		return badf("%v", err)
	}
	return o.stored(st)
}

func isRegular(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}

// table reads a single table. Its images are beside it or where the options say.
func (o *opener) table(p string) error {
	data, err := imaging.ReadFile(p, imaging.Limits{MaxFileBytes: table.MaxBytes})
	if err != nil {
		return badf("%v", err)
	}
	t, err := table.Parse(data, p)
	if err != nil {
		return badf("%s: %v", p, err)
	}
	root := filepath.Dir(p)
	o.d.Root = root
	if o.opt.Images != "" {
		root = o.opt.Images
		o.d.Root = root
	} else if o.exact(t, root) {
		// All paths are exact, so the folder need not be listed.
		at := place{root}
		return o.fromTables(at, []part{{t: t}}, func(name, _ string) (string, int, error) {
			if name = filepath.ToSlash(name); at.isFile(name) {
				return name, byPath, nil
			}
			return "", notFound, nil
		}, nil)
	}
	st, err := o.where(root)
	if err != nil {
		return err
	}
	return o.withStore(st, func(c *contents) error { return o.fromStore(st, c, []part{{t: t}}) })
}

// exact reports whether a column with a usual name contains only paths of existing images.
func (o *opener) exact(t *table.Table, root string) bool {
	h, at := newHeadings(t), place{root}
	cols := h.all(imageNames)
	if o.opt.ImageColumn != "" {
		i, err := h.named(o.opt.ImageColumn, nil)
		if err != nil {
			return false
		}
		cols = []int{i}
	}
	return slices.ContainsFunc(cols, func(col int) bool {
		return !slices.ContainsFunc(t.Rows, func(row []string) bool { return row[col] == "" || !at.isFile(filepath.ToSlash(row[col])) })
	})
}

// contents lists the files of a store by type.
type contents struct {
	images []string
	tables []string
	others map[string]int // number of other files by extension in lower case
	names  []string       // names of the other files
	all    []store.File
}

// withStore calls do and closes the store if it fails.
func (o *opener) withStore(st store.Store, do func(*contents) error) error {
	c := o.look(st)
	err := do(c)
	if err != nil && o.d.source == nil {
		return errors.Join(err, st.Close())
	}
	return err
}

// look classifies the files of a store.
func (o *opener) look(st store.Store) *contents {
	c := &contents{others: map[string]int{}}
	for _, f := range st.Files() {
		name := f.Name
		switch {
		case layout.Hidden(name):
			o.d.leave(layout.ReasonHidden, name)
			continue
		case o.isImage(st, f):
			c.images = append(c.images, name)
		default:
			if table.Is(name) || strings.EqualFold(path.Base(name), "HAM10000_metadata") {
				c.tables = append(c.tables, name)
			}
			c.names = append(c.names, name)
			c.others[strings.ToLower(path.Ext(name))]++
		}
		c.all = append(c.all, f)
	}
	return c
}

// isDICOM reports whether a file without an extension is a DICOM object, as in the stores of archives.
func isDICOM(st store.Store, f store.File) bool {
	if f.Size < 132 {
		return false
	}
	head, err := st.Head(f.Name, 132)
	return err == nil && dicom.HasPreamble(head)
}

// stored reads the contents of a folder or an archive.
func (o *opener) stored(st store.Store) error {
	return o.withStore(st, func(c *contents) error {
		if len(c.images) == 0 {
			return o.noImages(st, c)
		}
		if o.opt.Layout == layout.Auto || o.opt.Layout == LayoutTable {
			if done, err := o.fromFound(st, c); done || err != nil {
				return err
			}
			if o.opt.Layout == LayoutTable {
				return badf("%s: no table with labels of the images: the tables are %s", st.Root(), listed(c.tables))
			}
		}
		if o.opt.namesColumns() {
			return badf("%s: columns are named, but no table of labels was found", st.Root())
		}
		return o.classFolders(st, c)
	})
}

// noImages looks for data sets without image files: Parquet files, or archives in the folder.
func (o *opener) noImages(st store.Store, c *contents) error {
	var parquet, archives, npz []string
	for _, name := range c.names {
		switch ext := strings.ToLower(path.Ext(name)); {
		case ext == ".parquet":
			parquet = append(parquet, st.Path(name))
		case store.IsArchive(name):
			archives = append(archives, st.Path(name))
		case ext == ".npz":
			npz = append(npz, st.Path(name))
		}
	}
	isDir := false
	if info, err := os.Stat(st.Root()); err == nil {
		isDir = info.IsDir()
	}
	switch {
	case isDir && len(parquet) > 0:
		return errors.Join(o.parquet(parquet), st.Close())
	case isDir && len(archives) > 0:
		return errors.Join(o.archives(archives), st.Close())
	case isDir && len(npz) == 1:
		return errors.Join(o.d.openNPZ(npz[0], o.opt), st.Close())
	case isDir && len(npz) > 1:
		return badf("%s: %d .npz archives: give one of them: %s", st.Root(), len(npz), layout.First(npz))
	}
	if !isDir && len(c.names) > 0 && slices.ContainsFunc(c.names, store.IsArchive) {
		return badf("%s: archives in an archive are not read: unpack it first: %s", st.Root(), layout.First(c.names))
	}
	for ext := range c.others {
		if what := unread[ext]; what != "" && what != unread[".json"] {
			return badf("%s: no images, but %d %s files: %s", st.Root(), c.others[ext], ext, what)
		}
	}
	return badf("%s: neither labels.csv nor class folders with images (%d other files)", st.Root(), len(c.names))
}

// archives reads several archives in a folder as one data set.
func (o *opener) archives(paths []string) error {
	var stores []store.Store
	for _, p := range paths {
		st, err := store.Open(p)
		if err != nil {
			for _, s := range stores {
				err = errors.Join(err, s.Close())
			}
			return badf("%v", err)
		}
		stores = append(stores, st)
	}
	if len(stores) == 1 {
		o.d.Root = paths[0]
		return o.stored(stores[0])
	}
	o.d.notef("%d archives are read as one data set: %s", len(paths), layout.First(paths))
	return o.stored(store.Multi(o.d.Root, stores))
}

// classFolders takes labels from the names of folders.
func (o *opener) classFolders(st store.Store, c *contents) error {
	kept, left, notes := layout.Companions(c.images, o.mask(st))
	plan, err := layout.Folders(kept, o.opt.Layout)
	if err != nil {
		hint := ""
		if what := refusedTables(st, c); what != "" {
			hint = "; " + what
		}
		if len(c.tables) > 0 && errors.Is(err, layout.ErrNoLabels) {
			hint = fmt.Sprintf("; tables lie in it, of which none could be taken for labels (name its columns): %s", layout.First(c.tables))
		}
		return badf("%s: %v%s", st.Root(), err, hint)
	}
	o.d.LeftOut = append(o.d.LeftOut, left...)
	for _, l := range plan.LeftOut {
		o.d.leave(l.Reason, l.Name)
	}
	withImages, without := map[string]bool{}, map[string]bool{}
	for _, name := range c.images {
		withImages[strings.SplitN(name, "/", 2)[0]] = true
	}
	for _, name := range c.names {
		o.d.leave(layout.ReasonOther, name)
		if top, _, ok := strings.Cut(name, "/"); ok && !withImages[top] && !without[top] {
			without[top] = true
			o.d.warnf("folder %s has no images", top)
		}
	}
	if err := o.emptyFolders(st, plan); err != nil {
		return err
	}
	o.d.understood = plan.Words
	for _, n := range append(notes, plan.Notes...) {
		o.d.notef("%s", n)
	}
	for _, w := range plan.Warnings {
		o.d.warnf("%s", w)
	}
	if len(c.tables) > 0 {
		o.d.notef("labels are names of folders; a table lies there, too, and is not used (--layout table if it has the labels): %s", layout.First(c.tables))
	}
	records := make([]Record, len(plan.Images))
	for i, m := range plan.Images {
		records[i] = Record{Path: m.Name, Labels: []string{m.Label}, Split: m.Split}
		for _, l := range o.opt.Labels { // possibly in another spelling
			if l != m.Label && sameName(l, m.Label) && !slices.Contains(o.opt.Labels, m.Label) {
				records[i].Labels[0] = l
			}
		}
	}
	r := &reader{d: o.d, opt: o.opt, records: records}
	if err := r.listSplits(); err != nil {
		return err
	}
	if err := o.d.patients(r.records, o.opt); err != nil {
		return err
	}
	return o.d.take(st, r.records, "", nil, o.opt)
}

// refusedTables names a table of an unsupported type beside the images, or returns "".
func refusedTables(st store.Store, c *contents) string {
	for _, name := range c.names {
		ext := strings.ToLower(path.Ext(name))
		switch {
		case strings.Contains(name, "/"):
		case ext == ".json":
			if head, err := st.Head(name, 1<<16); err == nil && strings.Contains(string(head), `"annotations"`) {
				return name + ": annotations of objects (COCO) are not read: write a table with a label for each image"
			}
			return name + ": " + unread[".json"]
		case ext == ".xlsx" || ext == ".xls":
			return name + ": " + unread[ext]
		case ext == ".txt" && !strings.HasPrefix(strings.ToLower(name), "readme") && !strings.HasPrefix(strings.ToLower(name), "licen"):
			return name + ": text files are not read as tables: name it .csv if it has columns"
		case ext == ".yaml" || ext == ".yml":
			return name + ": boxes of objects (YOLO) are not read: write a table with a label for each image"
		}
	}
	return ""
}

// emptyFolders returns an error if a folder beside class folders is empty: a label whose images are missing.
func (o *opener) emptyFolders(st store.Store, plan *layout.Plan) error {
	parents := map[string]bool{}
	for _, m := range plan.Images {
		parents[path.Dir(path.Dir(m.Name))] = true
	}
	full := map[string]bool{}
	for _, f := range st.Files() {
		for dir := path.Dir(f.Name); dir != "." && !full[dir]; dir = path.Dir(dir) {
			full[dir] = true
		}
	}
	for parent := range parents {
		entries, err := os.ReadDir(st.Path(parent))
		if err != nil {
			continue // in an archive
		}
		for _, e := range entries {
			name := path.Join(parent, e.Name())
			if e.IsDir() && !full[name] && !layout.Hidden(e.Name()) {
				return badf("%s: folder without images", st.Path(name))
			}
		}
	}
	return nil
}

// take makes the data set from records whose images are files of a store.
func (d *Dataset) take(st store.Store, records []Record, task Task, labels []string, opt Options) error {
	src, err := expand(d, st, records, opt)
	if err != nil {
		return err
	}
	d.source = src
	return d.assemble(task, labels, opt)
}

// mask returns a function that reports whether an image looks like a mask: few colours, or black and white with
// compression artefacts.
func (o *opener) mask(st store.Store) layout.Look {
	return func(name string) bool {
		data, err := st.Read(name, imaging.DefaultLimits.MaxFileBytes)
		if err != nil {
			return false
		}
		m, err := imaging.Decode(data, name)
		return err == nil && isMask(m)
	}
}

// isMask reports whether an image has at most 16 colours, or nearly all its samples near two levels.
func isMask(m *imaging.Image) bool {
	const few, near = 16, 12
	colours := map[[3]uint16]int{}
	var levels [256]int
	n := m.W * m.H
	for i := range n {
		var c [3]uint16
		for k := range m.C {
			v := uint16(0)
			if m.Bits == 16 {
				v = m.Pix16[i*m.C+k]
				levels[v>>8]++
			} else {
				v = uint16(m.Pix8[i*m.C+k])
				levels[v]++
			}
			c[k] = v
		}
		if len(colours) <= few {
			colours[c]++
		}
	}
	if len(colours) <= few && n > 4*few {
		return true
	}
	ends := 0
	for v, count := range levels {
		if v < near || v >= 256-near {
			ends += count
		}
	}
	return float64(ends) >= 0.97*float64(n*m.C) && levels[0] < n*m.C
}
