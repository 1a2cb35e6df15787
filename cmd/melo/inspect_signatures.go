package main

import (
	"cmp"
	"time"

	"melo.example/melo/internal/regular"
	"melo.example/melo/lora/trust"
)

// signatureDocument is one signature of an adapter's signature file.
type signatureDocument struct {
	Key     string `json:"key"`              // identity of the key
	Signer  string `json:"signer,omitempty"` // whose key it is, if it is one of --trust and the signature verifies
	Reason  string `json:"reason,omitempty"` // why nothing follows from the signature
	As      string `json:"as,omitempty"`     // it holds for an adapter of this name alone
	Time    string `json:"time"`             // RFC 3339, as the signer says
	Comment string `json:"comment,omitempty"`
}

// signatures reads the signature file beside the adapter, if there is one.
func (d *inspectDocument) signatures(path, digest, list string) error {
	var keys *trust.Keys
	if list != "" {
		text, err := regular.ReadFile(list, trust.MaxFile)
		if err == nil {
			keys, err = trust.ParseKeys(text)
		}
		if err != nil {
			return err
		}
	}
	text, err := trust.ReadSignatures(path)
	if err != nil {
		return err
	}
	verdicts, err := trust.Look(digest, keys, text)
	if err != nil {
		d.SignatureNote = "the signature file cannot be read: " + err.Error()
	}
	for _, v := range verdicts {
		d.Signatures = append(d.Signatures, signatureDocument{Key: v.KeyID, Signer: v.Signer, Reason: v.Reason, As: v.Name,
			Time: v.Time.Format(time.RFC3339), Comment: v.Comment})
	}
	if text == nil && list != "" {
		d.SignatureNote = "it is not signed"
	}
	return nil
}

// printSignatures says who has signed.
func (d *inspectDocument) printSignatures(s *stdio) {
	if d.SignatureNote != "" {
		s.entry("  signed      ", "%s", d.SignatureNote)
	}
	for _, v := range d.Signatures {
		line := v.Time + ", key " + v.Key
		if v.As != "" {
			line += ", for the name " + v.As + " alone"
		}
		if v.Comment != "" {
			line += ": " + v.Comment
		}
		who := "by " + v.Signer + ", verified"
		if v.Signer == "" {
			who = "not verified: " + cmp.Or(v.Reason, "unknown")
		}
		s.entry("  signed      ", "%s; %s", who, line)
	}
}
