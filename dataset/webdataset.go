package dataset

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"melo.example/melo/dataset/label"
	"melo.example/melo/dataset/layout"
	"melo.example/melo/dataset/store"
)

// maxSidecar bounds the files that stand beside the images of a WebDataset.
const maxSidecar = 1 << 20

// webDataset reads samples that are files of one name up to the first dot: KEY.png beside KEY.cls or KEY.json. done
// tells whether that is what a store holds.
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
	var records []Record
	var cells []string
	count, without := map[string]int{}, 0
	for _, name := range c.images {
		key, _ := sampleKey(name)
		cell, err := o.sidecar(st, sides[key])
		if err != nil {
			return false, err
		}
		if label.Missing(cell) {
			without++
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
		count[cell]++
	}
	if 10*len(records) < 9*len(c.images) {
		return false, nil
	}
	for _, name := range c.images {
		if !slices.ContainsFunc(records, func(r Record) bool { return r.Path == name }) && without < 1000 {
			o.d.leave("images without a label", name)
		}
	}
	r := &reader{d: o.d, opt: o.opt, records: records, cells: cells}
	if err := r.finish(st.Root()); err != nil {
		return false, err
	}
	o.d.understood = "by the files beside the images (WebDataset)"
	return true, o.d.take(st, r.records, r.task, r.labels, o.opt)
}

// sampleKey cuts a name at the first dot after its folder.
func sampleKey(name string) (key, ext string) {
	dir, base := path.Split(name)
	stem, ext, _ := strings.Cut(base, ".")
	return dir + stem, strings.ToLower(ext)
}

// sidecar reads the label of a sample; empty: there is none.
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
			if len(text) > 200 || ext == "txt" && strings.Contains(text, "\n") {
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
				if s, ok := x.(string); ok {
					parts = append(parts, s)
				}
			}
			return strings.Join(parts, "|")
		}
	}
	return ""
}
