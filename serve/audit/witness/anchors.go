package witness

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"melo.example/melo/internal/regular"
	"melo.example/melo/serve/audit"
)

// Anchors checks the time stamps of an anchor file, and returns nil if it has none. Authorities is a file of certificates (PEM). Without authorities to check them with, what they say of themselves is all that is known.
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
