package dataset

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/dataset/label"
	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/store"
)

// maxSidecar limits the size of files beside the images of a WebDataset.
const maxSidecar = 1 << 20

// webDataset reads samples of files that share a name up to the first dot: KEY.png with KEY.cls or KEY.json.
// done reports whether the store contains such samples.
func (o *opener) webDataset(st store.Store, c *contents) (done bool, err error) {
	sides := map[string]map[string]string{} // key, extension, file
	for _, name := range c.names {
		key, ext := sampleKey(name)
		switch ext {
		case "cls", "txt", "json", "label", "cls.txt":
			if sides[key] == nil {
				sides[key] = map[string]string{}
			}
			sides[key][ext] = name
		}
	}
	if len(sides) == 0 {
		return false, nil
	}
	images, masks, twice := samples(c.images, sides)
	var records []Record
	var cells, without []string
	for _, name := range images {
		key, _ := sampleKey(name)
		cell, err := o.sidecar(st, sides[key])
		if err != nil {
			return false, err
		}
		if label.Missing(cell) {
			without = append(without, name)
			continue
		}
		rec := Record{Path: name}
		for part := range strings.SplitSeq(name, "/") {
			shard, _, _ := strings.Cut(part, "-")
			if s, ok := layout.SplitName(shard); ok && rec.Split == "" {
				rec.Split = s
			}
		}
		records, cells = append(records, rec), append(cells, cell)
	}
	if 2*len(records) < len(images) {
		return false, nil
	}
	if twice != nil {
		return false, badf("%s: %v", st.Root(), twice)
	}
	if len(without) > 0 && !o.opt.DropUnlabelled {
		return false, badf("%s: %d of %d images have no label in a file of their name (--drop-unlabelled leaves them out): %s", st.Root(),
			len(without), len(images), layout.First(without))
	}
	for _, name := range without {
		o.d.leave("images without a label", name)
	}
	for _, name := range masks {
		o.d.leave(layout.ReasonMask, name)
	}
	r := &reader{d: o.d, opt: o.opt, records: records, cells: cells}
	if err := r.finish(st.Root()); err != nil {
		return false, err
	}
	o.d.understood = "by the files beside the images (WebDataset)"
	return true, o.d.take(st, r.records, r.task, r.labels, o.opt)
}

// samples separates the images of samples from masks with the same key: "1.mask.png" beside "1.img.png". A
// sample with several images gives the error twice.
func samples(all []string, sides map[string]map[string]string) (images, masks []string, twice error) {
	byKey := map[string]string{}
	for _, name := range all {
		key, ext := sampleKey(name)
		words := strings.Split(ext, ".")
		if sides[key] != nil && len(words) > 1 && layout.MaskWord(words[len(words)-2]) {
			masks = append(masks, name)
			continue
		}
		if first, ok := byKey[key]; ok && sides[key] != nil {
			twice = fmt.Errorf("%s and %s are images of one sample: expected one image a label", first, name)
		}
		byKey[key] = name
		images = append(images, name)
	}
	return images, masks, twice
}

// sampleKey cuts a name at the first dot after its folder.
func sampleKey(name string) (key, ext string) {
	dir, base := path.Split(name)
	stem, ext, _ := strings.Cut(base, ".")
	return dir + stem, strings.ToLower(ext)
}

// sidecar reads the label of a sample; "" if there is none.
func (o *opener) sidecar(st store.Store, files map[string]string) (string, error) {
	for _, ext := range []string{"cls", "cls.txt", "label", "json", "txt"} {
		name, ok := files[ext]
		if !ok {
			continue
		}
		data, err := st.Read(name, maxSidecar)
		if err != nil {
			return "", badf("%v", err)
		}
		if ext != "json" {
			text := strings.TrimSpace(string(data))
			if len(text) > 200 || ext == "txt" && (strings.Contains(text, "\n") || isBox(text)) {
				return "", nil // a caption or annotations
			}
			return text, nil
		}
		var about map[string]any
		if json.Unmarshal(data, &about) != nil {
			return "", nil
		}
		return member(about, o.opt.LabelColumn), nil
	}
	return "", nil
}

// isBox reports whether a line is a class and a bounding box, as for object detection.
func isBox(line string) bool {
	fields := strings.Fields(line)
	return len(fields) >= 5 && !slices.ContainsFunc(fields, func(s string) bool {
		_, err := strconv.ParseFloat(s, 64)
		return err != nil
	})
}

// member returns the label in a JSON object: the named one, or the first with a usual name.
func member(about map[string]any, name string) string {
	plain := map[string]any{}
	for k, v := range about {
		plain[plainName(k)] = v
	}
	names := append([]string{"cls"}, labelNames...)
	if name != "" {
		names = []string{plainName(name)}
	}
	for _, n := range names {
		switch v := plain[n].(type) {
		case string:
			return v
		case float64:
			return strconv.FormatFloat(v, 'g', -1, 64)
		case bool:
			return strconv.FormatBool(v)
		case []any:
			var parts []string
			for _, x := range v {
				switch x := x.(type) {
				case string:
					parts = append(parts, x)
				case float64:
					parts = append(parts, strconv.FormatFloat(x, 'g', -1, 64))
				}
			}
			if len(v) == 0 {
				return "[]" // an empty list differs from a missing value
			}
			return strings.Join(parts, "|")
		}
	}
	return ""
}
