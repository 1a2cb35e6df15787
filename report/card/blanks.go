package card

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Blank is what only people know.
type Blank struct {
	Name string `json:"name"` // path of the element, such as BasicInfo.ModelDeveloper, or CLAIM.7
	Ask  string `json:"ask"`
}

// unfilled is the text of a blank.
func unfilled(ask string) string { return "[to be filled in: " + ask + "]" }

// settle puts facts into the elements of a struct and marks what stays empty. Names of facts that it has used are removed.
func settle(v reflect.Value, path string, facts map[string]string, blanks *[]Blank) {
	t := v.Type()
	for i := range t.NumField() {
		f, x := t.Field(i), v.Field(i)
		name := strings.TrimPrefix(path+"."+f.Name, ".")
		switch {
		case f.Name == "XMLName":
		case x.Kind() == reflect.Struct:
			settle(x, name, facts, blanks)
		case x.Kind() == reflect.String:
			if fact, ok := facts[name]; ok {
				delete(facts, name)
				x.SetString(fact)
			}
			ask := f.Tag.Get("ask")
			if x.String() != "" || ask == "" {
				continue
			}
			*blanks = append(*blanks, Blank{name, ask})
			if f.Tag.Get("optional") == "" {
				x.SetString(unfilled(ask))
			}
		}
	}
}

// leftOver refuses facts that nothing asks for: a slip would be lost in silence.
func leftOver(facts map[string]string) error {
	if len(facts) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(facts))
	return fmt.Errorf("facts: %s: no element of the card and no item of the checklists has this name; blanks.json lists those that are open", names[0])
}
