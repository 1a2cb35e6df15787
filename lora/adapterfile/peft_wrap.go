package adapterfile

import (
	"strings"

	"melo.example/melo/safetensors"
)

// wrappers lists prefixes that users' own modules, compilers and trainers add to the names of a backbone.
var wrappers = []string{"module.", "_orig_mod.", "model.", "backbone.", "encoder.", "visual.trunk.", "visual.", "trunk.", "image_encoder.", "net.",
	"network.", "base_model.", "vision_encoder.", "vision_tower.", "feature_extractor."}

// unwrapPEFT removes such a prefix from tensor names if the remaining names belong to a layout. The
// configuration records the prefix, because its patterns refer to full names.
func unwrapPEFT(st *safetensors.File, doc *peftDoc) (*safetensors.File, *peftDoc, error) {
	wrap, ok := wrapperOf(st.Names())
	if !ok {
		return st, doc, nil
	}
	inner, err := st.Select(func(name string) string {
		if rest, ok := strings.CutPrefix(name, peftPrefix+wrap); ok {
			return peftPrefix + rest
		}
		return name
	})
	if err != nil {
		return nil, nil, err
	}
	known := *doc
	known.wrap = wrap
	return inner, &known, nil
}

// wrapperOf returns the prefix before the first adapted module that a layout recognises only without a prefix.
func wrapperOf(names []string) (string, bool) {
	for _, name := range names {
		path, ok := strings.CutPrefix(name, peftPrefix)
		if !ok || !strings.HasSuffix(path, peftA) {
			continue
		}
		path = strings.TrimSuffix(path, peftA)
		wrap := ""
		for range 6 {
			if known(path[len(wrap):]) {
				return wrap, wrap != ""
			}
			next := ""
			for _, w := range wrappers {
				if strings.HasPrefix(path[len(wrap):], w) {
					next = w
					break
				}
			}
			if next == "" {
				break
			}
			wrap += next
		}
	}
	return "", false
}

func known(path string) bool {
	for _, l := range layouts() {
		if _, _, ok := l.find(path); ok {
			return true
		}
	}
	return false
}
