package witness

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"melo.example/melo/internal/regular"
	"melo.example/melo/serve/audit"
)

// Anchors verifies the time stamps in an anchor file, and returns nil if there are none. authorities is a file
// of certificates (PEM). Without it, only the statements of the time stamps themselves are reported.
func Anchors(noted []audit.Anchored, authorities string) (d *audit.Attestation, err error) {
	var roots *x509.CertPool
	if authorities != "" {
		text, err := regular.ReadFile(authorities, 1<<20)
		if err != nil {
			return nil, fmt.Errorf("audit: --tsa-ca: %w", err)
		}
		if roots, err = Roots(text); err != nil {
			return nil, fmt.Errorf("audit: --tsa-ca: %s: %w", authorities, err)
		}
	}
	for _, x := range noted {
		if x.Token == nil {
			continue
		}
		stamp, err := Check(x.Token, []byte(x.Head.String()), roots)
		if err != nil {
			return nil, fmt.Errorf("audit: anchor of entry %d: %w", x.Seq, err)
		}
		if d == nil {
			d = &audit.Attestation{Checked: roots != nil}
		}
		d.Stamps++
		d.Head, d.Time, d.Authority = x.Head.String(), stamp.Time.Format(time.RFC3339), stamp.Authority
	}
	if d == nil && authorities != "" {
		return nil, errors.New("audit: the anchor file has no time stamp, and --tsa-ca asks for them")
	}
	return d, nil
}
