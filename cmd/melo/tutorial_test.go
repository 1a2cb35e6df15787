package main

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")

// TestTutorial runs every command of docs/tutorial.md, in order, in an empty folder.
func TestTutorial(t *testing.T) {
	if testing.Short() {
		t.Skip("trains")
	}
	text, err := os.ReadFile("../../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
		lines = append(lines, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	if len(lines) < 10 {
		t.Fatalf("%d commands found in the tutorial", len(lines))
	}
	if _, err := binary(); err != nil { // is built from this folder
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	tour := &tutorial{t: t}
	for _, line := range lines {
		tour.run(line)
	}
	if tour.server == nil {
		t.Fatal("the tutorial serves nothing")
	}
	tour.server.terminate()
	for _, path := range []string{"sheet.png", "blood.safetensors", "blood.html", "blood.compare/report.html"} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the tutorial says that there is %s: %v", path, err)
		}
	}
}

// tutorial is a shell that knows the few commands of the tutorial.
type tutorial struct {
	t      *testing.T
	server *served
}

func (x *tutorial) run(line string) {
	x.t.Helper()
	var words []string
	for _, w := range shellWords(x.t, line) {
		if files, err := filepath.Glob(w); err == nil && len(files) > 0 && strings.Contains(w, "*") {
			words = append(words, files...)
			continue
		}
		words = append(words, w)
	}
	var err error
	switch words[0] {
	case "mkdir":
		err = os.Mkdir(words[1], 0o777)
	case "cp":
		var data []byte
		if data, err = os.ReadFile(words[1]); err == nil {
			err = os.WriteFile(filepath.Join(words[2], filepath.Base(words[1])), data, 0o666)
		}
	case "curl":
		x.curl(words[1:])
	case "melo":
		if words[1] == "serve" {
			x.server = startServerOf(x.t, words[2:len(words)-1]...) // without the "&"
			return
		}
		if r := melo(x.t, words[1:]...); r.status != exitDone {
			x.t.Fatalf("%s: exit status %d\n%s", line, r.status, r.err)
		}
	default:
		x.t.Fatalf("a command that the test does not know: %s", line)
	}
	if err != nil {
		x.t.Fatalf("%s: %v", line, err)
	}
}

// curl sends a form, or gets a page, from the server wherever it listens.
func (x *tutorial) curl(words []string) {
	x.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	method, url := http.MethodGet, ""
	for i := 0; i < len(words); i++ {
		if words[i] != "-F" {
			url = strings.Replace(words[i], "http://127.0.0.1:8080", x.server.doc.HTTP, 1)
			continue
		}
		i++
		method = http.MethodPost
		name, value, _ := strings.Cut(words[i], "=")
		if path, ok := strings.CutPrefix(value, "@"); ok {
			part, err := form.CreateFormFile(name, filepath.Base(path))
			if err != nil {
				x.t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				x.t.Fatal(err)
			}
			part.Write(data)
			continue
		}
		form.WriteField(name, value)
	}
	form.Close()
	req, err := http.NewRequestWithContext(x.t.Context(), method, url, &body)
	if err != nil {
		x.t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(answer), "blood") {
		x.t.Errorf("%s: %s, %v: %s", url, resp.Status, err, answer)
	}
}
