package httpapi

import (
	"embed"
	"net/http"
	"path"

	"melo.example/melo/serve/oip"
)

// page has the page for people: index.html, its style, and modules of script. They are served as they are.
//
//go:embed page
var page embed.FS

// media are the types of its files.
var media = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
}

// pagePolicy allows the page to load only what this server serves. Pictures that the user chose are shown from
// memory (blob); the icon is an empty one (data).
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// asset serves a file of the page.
func asset(a *api, w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("part")
	if name == "" {
		name = "index.html"
	}
	body, err := page.ReadFile("page/" + name)
	kind, known := media[path.Ext(name)]
	if err != nil || !known {
		return oip.NewFault(oip.NotFound, "no such address")
	}
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	write(w, http.StatusOK, kind, body, a.Write)
	return nil
}
