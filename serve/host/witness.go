package host

import (
	"errors"
	"time"

	"melo.example/melo/serve/audit/witness"
)

// openWitness sets up time stamps for the audit log.
func (r *Server) openWitness() error {
	address := r.settings.AuditTSA
	if address == "" {
		return nil
	}
	if r.settings.AuditAnchor == "" {
		return errors.New("audit: a time stamp authority needs an anchor file, in which its answers are kept")
	}
	authority, err := witness.New(address)
	if err != nil {
		return err
	}
	r.metrics.Gauge("melo_audit_witnessed_seconds", "When the last head of the audit log was attested, in seconds since 1970; 0: never.", func() float64 {
		if at := r.audit.Witnessed(); !at.IsZero() {
			return float64(at.UnixNano()) / float64(time.Second)
		}
		return 0
	})
	return r.audit.Witness(authority, func(err error) {
		if err != nil {
			r.log.Error("the audit log was not attested", "error", err)
			return
		}
		r.log.Debug("the audit log was attested", "authority", address)
	})
}
