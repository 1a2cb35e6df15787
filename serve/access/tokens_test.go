package access

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTokens(t *testing.T) {
	token, hash := NewToken()
	other, otherHash := NewToken()
	if token == other || !strings.HasPrefix(token, "melo_") || len(token) < 40 {
		t.Fatalf("tokens %q, %q", token, other)
	}
	text := fmt.Sprintf("# clients\n\n  ris viewer %s rate=20 burst=40 concurrent=8 body=1024\nops operator %s expires=2027-01-31T00:00:00Z\n", hash, otherHash)
	tokens, err := ParseTokens([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	before := time.Date(2027, 1, 30, 0, 0, 0, 0, time.UTC)
	p, ok := tokens.Find(token, before)
	if want := (Principal{"ris", Viewer, "token", Limits{20, 40, 8, 1024}, nil}); !ok || p != want {
		t.Errorf("got %+v, %v, want %+v", p, ok, want)
	}
	if p, ok := tokens.Find(other, before); !ok || p.Role != Operator {
		t.Errorf("got %+v, %v", p, ok)
	}
	if _, ok := tokens.Find(other, before.AddDate(0, 0, 1)); ok {
		t.Error("a token is good on the day on which it expires")
	}
	for _, wrong := range []string{"", token + "x", token[:len(token)-1], hash} {
		if _, ok := tokens.Find(wrong, before); ok {
			t.Errorf("%q is taken for a token", wrong)
		}
	}
}

func TestTokenFilesAreStrict(t *testing.T) {
	_, hash := NewToken()
	_, second := NewToken()
	for text, want := range map[string]string{
		"ris viewer":                                            "line 1: 2 fields",
		"ris boss " + hash:                                      `role "boss"`,
		"ris public " + hash:                                    `role "public"`,
		"ris viewer secret":                                     "third field",
		"ris viewer " + hash + "0":                              "third field",
		"ris viewer " + hash[:len(hash)-2]:                      "third field",
		"ris viewer sha256:" + strings.Repeat("xy", 32):         "third field",
		"ris viewer " + hash + " expires=tomorrow":              "expires",
		"ris viewer " + hash + " rate=-1":                       "rate",
		"ris viewer " + hash + " rate=NaN":                      "rate",
		"ris viewer " + hash + " rate=1 rate=2":                 "twice",
		"ris viewer " + hash + " speed=1":                       `unknown field "speed"`,
		"\n#\nris viewer " + hash + "\nris viewer " + second:    "line 4: client \"ris\" stands in line 3",
		"ris viewer " + hash + "\nrad viewer " + hash:           "has the token of",
		strings.Repeat("n", 101) + " viewer " + hash:            "client name",
		"r\x01s viewer " + hash:                                 "client name",
		"# " + strings.Repeat("x", maxTokenLine):                "line 1: longer",
		"ris viewer " + hash + " body=99999999999999999999":     "body",
		"ris viewer " + hash + " concurrent=1.5":                "concurrent",
		"ris viewer " + hash + " =":                             "unknown field",
		"ris viewer sha256:" + strings.Repeat("é", 32) + " x=1": "third field",
	} {
		_, err := ParseTokens([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want an error with %q", text, err, want)
		} else if strings.Contains(err.Error(), hash) {
			t.Errorf("%.60q: the error quotes the hash: %v", text, err)
		}
	}
	if _, err := ParseTokens(make([]byte, maxTokenFile+1)); err == nil {
		t.Error("a huge file is read")
	}
}

func FuzzParseTokens(f *testing.F) {
	_, hash := NewToken()
	f.Add("# c\nris viewer " + hash + " rate=20 burst=40 concurrent=8 body=1024 expires=2027-01-31T00:00:00Z\n")
	f.Add("ris viewer sha256:00")
	f.Add("ris\tadmin\x00")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := ParseTokens([]byte(text))
		if err != nil {
			if strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		for _, token := range tokens {
			if CheckName(token.Name) != nil || token.Role < Viewer || token.Role > Admin || token.Limits.check() != nil {
				t.Errorf("%+v came out of %q", token, text)
			}
		}
	})
}

func TestWatched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	a, hashA := NewToken()
	b, hashB := NewToken()
	parse := func(c [][]byte) (Tokens, error) { return ParseTokens(c[0]) }
	if _, err := Watch(maxTokenFile, parse, nil, path); err == nil {
		t.Fatal("a missing file is no error")
	}
	write("x viewer nonsense")
	if _, err := Watch(maxTokenFile, parse, nil, path); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v, want an error that names the file", err)
	}
	write("a viewer " + hashA)
	var reports []error
	w, err := Watch(maxTokenFile, parse, func(err error) { reports = append(reports, err) }, path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	w.now = func() time.Time { return now }
	knows := func(token string) bool {
		now = now.Add(checkEvery)
		_, ok := w.Get().Find(token, now)
		return ok
	}
	if !knows(a) || knows(b) || len(reports) != 0 {
		t.Errorf("before the change: %v", reports)
	}
	write("b viewer " + hashB)
	if knows(a) || !knows(b) || len(reports) != 1 || reports[0] != nil {
		t.Errorf("after the change: %v", reports)
	}
	write("b viewer broken")
	if first, again := knows(b), knows(b); !first || !again || len(reports) != 2 || reports[1] == nil {
		t.Errorf("after a broken change, which is reported once: %v", reports)
	}
	os.Remove(path)
	if !knows(b) || len(reports) != 3 {
		t.Errorf("without the file: %v", reports)
	}
	write("a viewer " + hashA)
	if !knows(a) || knows(b) || len(reports) != 4 || reports[3] != nil {
		t.Errorf("after it was mended: %v", reports)
	}
}

// TestAdaptersOfClients reads which adapters a client may know of.
func TestAdaptersOfClients(t *testing.T) {
	token, hash := NewToken()
	for list, may := range map[string]map[string]bool{
		"busi":           {"busi": true, "busi2": false, "": false, "Busi": false},
		"a,b*":           {"a": true, "b": true, "bc": true, "ab": false},
		"*":              {"a": true, "x y": true},
		"*scan":          {"scan": true, "a scan": true, "scans": false},
		"a*b*c":          {"abc": true, "axbxc": true, "ac": false, "abcd": false, "aXbcbc": true},
		"a%20b,50%25%2C": {"a b": true, "50%,": true, "a%20b": false},
		"a%2Ab":          {"a*b": true, "axb": false},
	} {
		tokens, err := ParseTokens([]byte("ris viewer " + hash + " adapters=" + list))
		if err != nil {
			t.Errorf("%s: %v", list, err)
			continue
		}
		p, _ := tokens.Find(token, time.Now())
		for name, want := range may {
			if got := p.Adapters.May(name); got != want {
				t.Errorf("%s: %q is %v, expected %v", list, name, got, want)
			}
		}
	}
	for _, name := range []string{"a b", "50%,", "x*", "%20"} {
		if names, err := ParseNames(EscapeName(name)); err != nil || !names.May(name) {
			t.Errorf("%q is written %q: %v", name, EscapeName(name), err)
		}
	}
	for _, field := range []string{"adapters=", "adapters=a,,b", "adapters=a@v2", "adapters=a/b", "adapters=%2", "adapters=%zz", "adapters=a adapters=b"} {
		if _, err := ParseTokens([]byte("ris viewer " + hash + " " + field)); err == nil {
			t.Errorf("%q was taken", field)
		}
	}
	if _, err := ParseTokens([]byte("ops operator " + hash + " adapters=a")); err == nil || !strings.Contains(err.Error(), "for viewers") {
		t.Errorf("an operator with a list: %v", err)
	}
}
