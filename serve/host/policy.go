package host

import (
	"fmt"

	"melo.example/melo/lora/trust"
	"melo.example/melo/serve/access"
	"melo.example/melo/serve/audit"
)

// openPolicy reads the policy for trusted adapters.
func (r *Server) openPolicy() (err error) {
	s := &r.settings
	var paths []string
	for _, path := range []string{s.Allowed, s.Keys} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	r.policy, err = access.Watch(trust.MaxFile, s.parsePolicy, func(err error) {
		if err != nil {
			r.log.Error("the lists of trusted adapters were not read again", "error", err)
		} else {
			r.log.Info("the lists of trusted adapters were read again")
		}
		r.policyChanged(err)
	}, paths...)
	if err != nil {
		return fmt.Errorf("trust: %w", err)
	}
	r.policyChanged(nil)
	return nil
}

// parsePolicy makes a policy from the configured files, in the order of openPolicy.
func (s *Settings) parsePolicy(contents [][]byte) (*trust.Policy, error) {
	p, err := &trust.Policy{}, error(nil)
	if s.Allowed != "" {
		if p.Allowed, err = trust.ParseAllowed(contents[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Allowed, err)
		}
		contents = contents[1:]
	}
	if s.Keys != "" {
		if p.Keys, err = trust.ParseKeys(contents[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Keys, err)
		}
	}
	return p, nil
}

// policyChanged logs that the policy changed, or that a change could not be read.
func (r *Server) policyChanged(err error) {
	if r.audit == nil {
		return
	}
	event := audit.Event{Action: "trust", Outcome: "ok", Detail: "the lists of trusted adapters were read"}
	if err != nil {
		event.Outcome, event.Detail = "failed", "the lists of trusted adapters were not read again"
	}
	_ = r.audit.Record(event)
}
