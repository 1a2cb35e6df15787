package host

import (
	"bytes"
	"errors"

	"melo.example/melo/serve/access"
)

// Bounds of the file that has the token of readers of metrics.
const (
	maxReaderFile  = 4 << 10
	minReaderToken = 16
)

// openReader reads what readers of metrics have to show.
func (r *Server) openReader() (err error) {
	path := r.settings.MetricsToken
	if path == "" {
		return nil
	}
	r.reader, err = access.Watch(maxReaderFile, func(contents [][]byte) (string, error) {
		token := bytes.TrimSpace(contents[0])
		if len(token) < minReaderToken {
			return "", errors.New("expected a token of at least 16 characters")
		}
		return access.HashToken(string(token)), nil
	}, func(err error) {
		if err != nil {
			r.log.Error("the token of metrics was not read again", "error", err)
			return
		}
		r.log.Info("the token of metrics was read again")
	}, path)
	return err
}

// metricsToken is what Config has of it.
func (r *Server) metricsToken() func() string {
	if r.reader == nil {
		return nil
	}
	return r.reader.Get
}
