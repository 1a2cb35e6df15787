package host

import (
	"os"
	"runtime"

	"melo.example/melo/serve/access"
)

// checkWritable refuses files that decide who is trusted, and that everybody on this machine may write, before anything is read. Those
// that a group may write are told to the log.
func (r *Server) checkWritable() error {
	s := &r.settings
	if runtime.GOOS == "windows" { // file modes carry no information there
		return nil
	}
	paths := []string{s.Tokens, s.Allowed, s.Keys, s.MetricsToken}
	for _, t := range []*TLS{s.TLS, s.MetricsTLS} {
		if t != nil {
			paths = append(paths, t.Cert, t.Key, t.ClientCA)
		}
	}
	for _, path := range paths {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			continue // reading it reports the error
		}
		if err := access.CheckMode(path, info.Mode()); err != nil {
			return err
		}
		if mode := info.Mode().Perm(); mode&0o020 != 0 {
			r.log.Warn("a file that decides who is trusted may be written by its group", "file", path, "mode", mode.String())
		}
	}
	return nil
}
