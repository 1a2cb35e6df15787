package pickle

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
)

// written are what Python's pickle makes of the list in TestDecode, by protocol.
var written = []string{
	"\x80\x02]q\x00(N\x88\x89K\x00K\xffM\xff\xffJ\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x0d\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xc0G?\xf8\x00\x00\x00\x00\x00\x00X\x04\x00\x00\x00\xc3\xa9 xq\x01X\x08\x00\x00\x00no bytesq\x02)K\x01\x85q\x03K\x01K\x02\x86q\x04K\x01K\x02K\x03\x87q\x05(K\x01K\x02K\x03K\x04tq\x06]q\x07}q\x08}q\x09(X\x01\x00\x00\x00aq\x0a]q\x0b(K\x01K\x02eX\x01\x00\x00\x00bq\x0c}q\x0duh\x0bX\x06\x00\x00\x00no setq\x0ee.", // protocol 2
	"\x80\x03]q\x00(N\x88\x89K\x00K\xffM\xff\xffJ\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x0d\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xc0G?\xf8\x00\x00\x00\x00\x00\x00X\x04\x00\x00\x00\xc3\xa9 xq\x01C\x02\x00\xffq\x02)K\x01\x85q\x03K\x01K\x02\x86q\x04K\x01K\x02K\x03\x87q\x05(K\x01K\x02K\x03K\x04tq\x06]q\x07}q\x08}q\x09(X\x01\x00\x00\x00aq\x0a]q\x0b(K\x01K\x02eX\x01\x00\x00\x00bq\x0c}q\x0duh\x0bX\x06\x00\x00\x00no setq\x0ee.",             // protocol 3
	"\x80\x04\x95\x8b\x00\x00\x00\x00\x00\x00\x00]\x94(N\x88\x89K\x00K\xffM\xff\xffJ\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x0d\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xc0G?\xf8\x00\x00\x00\x00\x00\x00\x8c\x04\xc3\xa9 x\x94C\x02\x00\xff\x94)K\x01\x85\x94K\x01K\x02\x86\x94K\x01K\x02K\x03\x87\x94(K\x01K\x02K\x03K\x04t\x94]\x94}\x94}\x94(\x8c\x01a\x94]\x94(K\x01K\x02e\x8c\x01b\x94}\x94uh\x0b\x8f\x94(K\x03\x90e.",                            // protocol 4
	"\x80\x05\x95\x8b\x00\x00\x00\x00\x00\x00\x00]\x94(N\x88\x89K\x00K\xffM\xff\xffJ\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x0d\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xc0G?\xf8\x00\x00\x00\x00\x00\x00\x8c\x04\xc3\xa9 x\x94C\x02\x00\xff\x94)K\x01\x85\x94K\x01K\x02\x86\x94K\x01K\x02K\x03\x87\x94(K\x01K\x02K\x03K\x04t\x94]\x94}\x94}\x94(\x8c\x01a\x94]\x94(K\x01K\x02e\x8c\x01b\x94}\x94uh\x0b\x8f\x94(K\x03\x90e.",                            // protocol 5
}

// plain lets a stream have values and nothing else.
func plain() *Machine {
	return &Machine{
		Known:      func(Global) bool { return false },
		Call:       func(Global, Tuple) (any, bool, error) { return nil, false, nil },
		New:        func(Global, Tuple) (any, bool) { return nil, false },
		Persistent: func(any) (any, error) { return nil, errors.New("no persistent objects") },
	}
}

// TestDecode: values of every kind as Python writes them, in every protocol since the second.
func TestDecode(t *testing.T) {
	hundred := new(big.Int).Lsh(big.NewInt(1), 100)
	seventy := new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 70))
	for i, s := range written {
		v, n, err := plain().Decode([]byte(s + "rest"))
		if err != nil || n != len(s) {
			t.Fatalf("protocol %d: %d of %d bytes, %v", i+2, n, len(s), err)
		}
		items := v.(*List).Items
		want := []any{nil, true, false, int64(0), int64(255), int64(65535), int64(-1), int64(1) << 40, hundred, seventy, 1.5, "\u00e9 x", []byte{0, 255},
			Tuple{}, Tuple{int64(1)}, Tuple{int64(1), int64(2)}, Tuple{int64(1), int64(2), int64(3)}, Tuple{int64(1), int64(2), int64(3), int64(4)}, &List{}, &Dict{}}
		if i == 0 {
			want[12] = "no bytes"
		}
		for k, w := range want {
			if !reflect.DeepEqual(items[k], w) {
				t.Errorf("protocol %d, value %d: %#v, want %#v", i+2, k, items[k], w)
			}
		}
		d := items[20].(*Dict)
		a, okA := d.Get("a")
		b, okB := d.Get("b")
		if _, c := d.Get("c"); !okA || !okB || c || len(b.(*Dict).Keys) != 0 {
			t.Errorf("protocol %d: %+v", i+2, d)
		}
		if a != items[21] { // one list, mentioned twice
			t.Errorf("protocol %d: %p and %p", i+2, a, items[21])
		}
		if set, ok := items[22].(*List); i >= 2 && (!ok || !reflect.DeepEqual(set.Items, []any{int64(3)})) {
			t.Errorf("protocol %d: a set became %#v", i+2, items[22])
		}
	}
}

// TestLong: integers of any length, with their sign.
func TestLong(t *testing.T) {
	for in, want := range map[string]string{"": "0", "\x7f": "127", "\x80": "-128", "\xff\x00": "255", "\xff\xff": "-1", "\x00\x00\x00\x00\x00\x00\x00\x80": "-9223372036854775808",
		"\x00\x00\x00\x00\x00\x00\x00\x80\x00": "9223372036854775808", "\xff\xff\xff\xff\xff\xff\xff\xff\xff": "-1"} {
		if got := fmt.Sprint(long([]byte(in))); got != want {
			t.Errorf("%x: %s, want %s", in, got, want)
		}
	}
}

// TestNothingIsRun: a stream calls and makes what its reader lists, and nothing else; the name of what is refused is said.
func TestNothingIsRun(t *testing.T) {
	attack := "cposix\nsystem\n(X\x02\x00\x00\x00idtR."
	if v, _, err := plain().Decode([]byte(attack)); err == nil || !strings.Contains(err.Error(), "posix.system, which is refused") || v != nil {
		t.Errorf("%v, %v", v, err)
	}
	var called []string
	m := plain()
	m.Known = func(g Global) bool { return g.Module == "a" }
	m.Call = func(g Global, args Tuple) (any, bool, error) {
		called = append(called, fmt.Sprint(g, args))
		return "made", g.Name == "f", nil
	}
	m.New = func(g Global, _ Tuple) (any, bool) { return &Object{Class: g}, g.Name == "C" }
	m.Persistent = func(id any) (any, error) { return fmt.Sprint("stored ", id), nil }
	if v, _, err := m.Decode([]byte("ca\nf\n(K\x07tR.")); err != nil || v != "made" || !reflect.DeepEqual(called, []string{"a.f [7]"}) {
		t.Errorf("%v, %v, %v", v, err, called)
	}
	v, _, err := m.Decode([]byte("\x8c\x01a\x8c\x01C\x93)\x81}X\x01\x00\x00\x00xK\x05sb."))
	if err != nil {
		t.Fatal(err)
	}
	o, ok := v.(*Object)
	if !ok || o.Class != (Global{"a", "C"}) {
		t.Fatalf("%#v", v)
	}
	if x, ok := o.State.(*Dict).Get("x"); !ok || x != int64(5) {
		t.Errorf("state %#v", o.State)
	}
	if v, _, err := m.Decode([]byte("K\x03Q.")); err != nil || v != "stored 3" {
		t.Errorf("%v, %v", v, err)
	}
	for stream, want := range map[string]string{
		"ca\ng\n)R.":      "it calls a.g, which is refused",
		"ca\nD\n)\x81.":   "it makes a D",
		"K\x01)R.":        "it calls int64",
		"ca\nf\nK\x01R.":  "with int64",
		"K\x01K\x02\x93.": "a class is named by int64 and int64",
		"i":               "opcode 0x69 is not needed",
	} {
		want = strings.Replace(want, "a D", "a.D", 1)
		want = strings.Replace(want, "it makes a.D", "it makes a a.D", 1)
		if _, _, err := m.Decode([]byte(stream)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", stream, err, want)
		}
	}
}

// TestMalformed: what is no stream is an error, never a panic nor an allocation of what it claims.
func TestMalformed(t *testing.T) {
	for stream, want := range map[string]string{
		"": "ends at byte 0", "N": "ends at byte 1", ".": "the stack is empty", "(.": "a mark in place of a value", "t.": "no mark", "K": "1 more were expected",
		"X\xff\xff\xff\x7f": "are announced", "\x8e\xff\xff\xff\xff\xff\xff\xff\xff": "are announced", "\x80\x06": "protocol 6 is not known", "h\x05.": "value 5 was not remembered",
		"q\x00.": "nothing to remember", "(q\x00.": "nothing to remember", "K\x01K\x02a.": "items for int64", "K\x01K\x02K\x03s.": "entries for int64", "(K\x01d.": "a key without a value",
		"Ixyz\n.": "invalid syntax", "I12": "a line does not end", "\x86.": "the stack is empty", "1": "no mark", "b.": "the stack is empty",
	} {
		if v, _, err := plain().Decode([]byte(stream)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", stream, v, err, want)
		}
	}
	for _, s := range written {
		for n := range len(s) {
			if _, _, err := plain().Decode([]byte(s[:n])); err == nil {
				t.Fatalf("the first %d of %d bytes were taken", n, len(s))
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range written {
		f.Add([]byte(s))
	}
	f.Add([]byte("ca\nf\n(K\x07tR."))
	f.Add([]byte("\x8c\x01a\x8c\x01C\x93)\x81}X\x01\x00\x00\x00xK\x05sb."))
	m := &Machine{
		Known:      func(Global) bool { return true },
		Call:       func(g Global, args Tuple) (any, bool, error) { return args, g.Name != "", nil },
		New:        func(g Global, _ Tuple) (any, bool) { return &Object{Class: g}, true },
		Persistent: func(id any) (any, error) { return id, nil },
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, n, err := m.Decode(data); n > len(data) || err == nil && n == 0 {
			t.Fatalf("%d of %d bytes, %v", n, len(data), err)
		}
	})
}
