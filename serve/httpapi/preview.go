package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"melo.example/melo/serve/oip"
)

// previewForm describes the form for the OpenAPI document.
type previewForm struct {
	Image []file `json:"image" schema:"minItems=1,maxItems=1" doc:"One image file: PNG, JPEG, GIF, BMP, TIFF, WebP, PNM, DICOM."`
	Frame int    `json:"frame,omitempty" schema:"minimum=1,maximum=1048576" doc:"Frame of a DICOM object, or page of a TIFF file, of several; the first by default."`
}

// previewDocument is the JSON object in front of the samples of a preview.
type previewDocument struct {
	Width      int    `json:"width"`
	Height     int    `json:"height"`
	FullWidth  int    `json:"full_width"`
	FullHeight int    `json:"full_height"`
	Channels   int    `json:"channels"`
	Bits       int    `json:"bits"`
	Low        int    `json:"low"`
	High       int    `json:"high"`
	Frame      int    `json:"frame"`
	Frames     int    `json:"frames"`
	Format     string `json:"format"`
}

// preview answers a form with samples: a JSON object, whose length a header field has, and after it the samples.
func preview(a *api, w http.ResponseWriter, r *http.Request) error {
	f, in, err := a.form(w, r)
	if err != nil {
		return err
	}
	defer in.Release()
	switch {
	case len(f.images) != 1:
		return oip.NewFault(oip.TooLarge, strconv.Itoa(len(f.images))+" images, expected one")
	case len(f.adapters) > 0 || f.all || f.coverage != 0:
		return oip.NewFault(oip.Invalid, "the form has fields of a question, expected image and frame")
	}
	ctx, cancel := a.deadline(r)
	defer cancel()
	return a.Service.Preview(ctx, f.images[0], func(p *oip.Preview) error {
		head, err := json.Marshal(previewDocument{Width: p.Width, Height: p.Height, FullWidth: p.FullWidth, FullHeight: p.FullHeight,
			Channels: p.Channels, Bits: p.Bits, Low: p.Low, High: p.High, Frame: p.Page + 1, Frames: p.Pages, Format: p.Format})
		if err != nil {
			return err
		}
		h := w.Header()
		h.Set(lengthHeader, strconv.Itoa(len(head)))
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", strconv.Itoa(len(head)+len(p.Samples)))
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Now().Add(a.Write))
		defer func() { _ = control.SetWriteDeadline(time.Time{}) }() // the connection may have further requests
		w.WriteHeader(http.StatusOK)
		if _, err := w.Write(head); err == nil { // errors are the client's, who is gone
			_, _ = w.Write(p.Samples)
		}
		return nil
	})
}
