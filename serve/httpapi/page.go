package httpapi

import (
	_ "embed"
	"net/http"

	"melo.example/melo/serve/oip"
)

//go:embed page.html
var pageHTML []byte

//go:embed page.js
var pageScript []byte

//go:embed page.css
var pageStyle []byte

// assets maps paths to the files of the web page.
var assets = map[string]struct {
	media string
	body  []byte
}{
	"/":         {"text/html; charset=utf-8", pageHTML},
	"/page.js":  {"text/javascript; charset=utf-8", pageScript},
	"/page.css": {"text/css; charset=utf-8", pageStyle},
}

// pagePolicy allows the page to load only what this server serves. Pictures that the user chose are shown from
// memory (blob); the icon is an empty one (data).
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// asset serves a file of the page.
func asset(a *api, w http.ResponseWriter, r *http.Request) error {
	f, ok := assets[r.URL.Path]
	if !ok {
		return oip.NewFault(oip.NotFound, "no such address")
	}
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	write(w, http.StatusOK, f.media, f.body, a.Write)
	return nil
}
