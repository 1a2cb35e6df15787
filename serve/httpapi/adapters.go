package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"melo.example/melo/serve/oip"
)

// defaultCards is the default number of versions in a list.
const defaultCards = 1000

func listAdapters(a *api, w http.ResponseWriter, r *http.Request) error {
	limit := defaultCards
	if v := r.URL.Query().Get("limit"); v != "" {
		var err error
		if limit, err = strconv.Atoi(v); err != nil || limit < 1 || limit > defaultCards {
			return oip.NewFault(oip.Invalid, "limit: expected 1 to "+strconv.Itoa(defaultCards))
		}
	}
	list, next := a.Service.Cards(r.Context(), r.URL.Query().Get("after"), limit)
	return a.writeJSON(w, http.StatusOK, AdapterList{Base: a.Service.Base(), Bases: a.Service.Bases(), Adapters: list, Next: next, Notice: oip.Notice})
}

func oneAdapterCard(a *api, w http.ResponseWriter, r *http.Request) error {
	list, err := a.Service.CardsOf(r.Context(), r.PathValue("adapter"))
	if err != nil {
		return err
	}
	return a.writeJSON(w, http.StatusOK, AdapterList{Base: a.Service.Base(), Bases: a.Service.Bases(), Adapters: list, Notice: oip.Notice})
}

// done answers that a change has been made.
func (a *api) done(w http.ResponseWriter, err error) error {
	if err != nil {
		return err
	}
	write(w, http.StatusOK, "application/json", []byte("{}"), a.Write)
	return nil
}

func pin(a *api, w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := a.deadline(r)
	defer cancel()
	return a.done(w, a.Service.Pin(ctx, r.PathValue("adapter"), r.Method == put))
}

// aliasRequest is the body of SetAlias.
type aliasRequest struct {
	Version string `json:"version" schema:"minLength=1" doc:"An alias, a digest or its beginning."`
}

func setAlias(a *api, w http.ResponseWriter, r *http.Request) error {
	var request aliasRequest
	if err := a.decode(w, r, &request); err != nil {
		return err
	}
	if request.Version == "" {
		return oip.NewFault(oip.Invalid, "version is missing")
	}
	return a.done(w, a.Service.SetAlias(r.Context(), r.PathValue("adapter"), r.PathValue("alias"), request.Version))
}

func removeAlias(a *api, w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Service.SetAlias(r.Context(), r.PathValue("adapter"), r.PathValue("alias"), ""))
}

// canaryRequest is the body of SetCanary.
type canaryRequest struct {
	Version string  `json:"version" schema:"minLength=1" doc:"An alias, a digest or its beginning."`
	Weight  float64 `json:"weight" schema:"minimum=0,maximum=1" doc:"Share of the requests without a version, 0 to 1."`
}

func setCanary(a *api, w http.ResponseWriter, r *http.Request) error {
	var request canaryRequest
	if err := a.decode(w, r, &request); err != nil {
		return err
	}
	if request.Version == "" {
		return oip.NewFault(oip.Invalid, "version is missing")
	}
	return a.done(w, a.Service.SetCanary(r.Context(), r.PathValue("adapter"), request.Version, request.Weight))
}

func removeCanary(a *api, w http.ResponseWriter, r *http.Request) error {
	return a.done(w, a.Service.SetCanary(r.Context(), r.PathValue("adapter"), "", 0))
}

// decode parses a small JSON body strictly.
func (a *api) decode(w http.ResponseWriter, r *http.Request, v any) error {
	body, in, err := a.body(w, r)
	if err != nil {
		return err
	}
	defer in.Release()
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return oip.NewFault(oip.Invalid, "the request is not the JSON that is expected: "+err.Error())
	}
	if d.More() {
		return oip.NewFault(oip.Invalid, "the request has more than one JSON value")
	}
	return nil
}
