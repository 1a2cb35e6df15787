package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
)

// issuer is an identity provider that counts how often it is asked for its keys.
type issuer struct {
	*httptest.Server
	asked atomic.Int64
}

func newIssuer() *issuer {
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		doc := map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/a", "token_endpoint": i.URL + "/t",
			"id_token_signing_alg_values_supported": []string{"RS256"}}
		if strings.HasSuffix(r.URL.Path, "/keys") {
			i.asked.Add(1)
			doc = map[string]any{"keys": []any{}}
		}
		_ = json.NewEncoder(w).Encode(doc) // to a client that may be gone
	}))
	return i
}

func madeUpKeys(ctx context.Context, s *server) (string, error) {
	before := s.issuer.asked.Load()
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	statuses := map[int]int{}
	for n := range 150 {
		token := part(fmt.Sprintf(`{"alg":"RS256","kid":"%d"}`, n)) + "." + part(fmt.Sprintf(`{"iss":%q,"aud":"melo","sub":"x","exp":99999999999}`, s.issuer.URL)) + "." + part("signature")
		r, err := http.NewRequestWithContext(ctx, "GET", s.http+"/v1/adapters", nil)
		if err != nil {
			return "", err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := s.client.Do(r)
		if err != nil {
			return "", err
		}
		response.Body.Close()
		statuses[response.StatusCode]++
	}
	return fmt.Sprintf("answers by status: %v; the keys were asked for %d times", statuses, s.issuer.asked.Load()-before), nil
}
