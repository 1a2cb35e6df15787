package adapterfile

import "regexp"

var loravitPattern = regexp.MustCompile(`^w_([ab])_(\d{3,4})$`)

// loravitKey reports whether a tensor's name is one of LoRA-ViT's matrices.
func loravitKey(name string) bool { return loravitPattern.MatchString(name) }
