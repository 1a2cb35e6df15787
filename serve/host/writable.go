package host

import (
	"fmt"
	"os"
	"runtime"
)

// checkWritable returns an error if a file that decides who is trusted is writable by everybody on this
// machine. Files writable by a group are logged.
func (r *Server) checkWritable() error {
	s := &r.settings
	if runtime.GOOS == "windows" { // file modes carry no information there
		return nil
	}
	for _, path := range []string{s.Tokens, s.Allowed, s.Keys} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			continue // reading it reports the error
		}
		switch mode := info.Mode().Perm(); {
		case mode&0o002 != 0:
			return fmt.Errorf("host: %s: everybody on this machine may write it (%v), and it decides who is trusted: take that away (chmod o-w)", path, mode)
		case mode&0o020 != 0:
			r.log.Warn("a file that decides who is trusted may be written by its group", "file", path, "mode", mode.String())
		}
	}
	return nil
}
