package settings

import (
	"reflect"
	"strings"
	"unicode/utf8"
)

// rawByte is the first of 256 private code points. They represent bytes of arguments that are not UTF-8 while
// the command line is parsed, because file names may contain any bytes.
const rawByte = 0x10F000

// EncodeArgs makes all arguments UTF-8.
func EncodeArgs(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		if utf8.ValidString(a) {
			continue
		}
		var b strings.Builder
		for len(a) > 0 {
			r, n := utf8.DecodeRuneInString(a)
			if r == utf8.RuneError && n == 1 {
				r = rawByte + rune(a[0])
			}
			b.WriteRune(r)
			a = a[n:]
		}
		out[i] = b.String()
	}
	return out
}

// DecodeArg is the inverse of EncodeArgs for one argument.
func DecodeArg(a string) string {
	if !strings.ContainsFunc(a, isRaw) {
		return a
	}
	var b []byte
	for _, r := range a {
		if isRaw(r) {
			b = append(b, byte(r-rawByte))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

func isRaw(r rune) bool { return r >= rawByte && r < rawByte+256 }

// DecodeOptions puts the bytes back into every option.
func DecodeOptions(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			DecodeOptions(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			DecodeOptions(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			DecodeOptions(v.Index(i))
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(DecodeArg(v.String()))
		}
	}
}
