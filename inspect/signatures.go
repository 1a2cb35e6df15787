package inspect

import (
	"time"

	"melo.example/melo/internal/regular"
	"melo.example/melo/lora/trust"
)

// Signature is one signature of an adapter's signature file.
type Signature struct {
	Key     string `json:"key"`              // identity of the key
	Signer  string `json:"signer,omitempty"` // whose key it is, if it is one of --trust and the signature verifies
	Reason  string `json:"reason,omitempty"` // why nothing follows from the signature
	As      string `json:"as,omitempty"`     // it holds for an adapter of this name alone
	Time    string `json:"time"`             // RFC 3339, as the signer says
	Comment string `json:"comment,omitempty"`
}

// Verify adds the signatures of an adapter: those of the file beside it, if there is one. List is a file of keys that they
// are checked with, "" if there is none. A document of something else stays as it is.
func (d *Document) Verify(path, list string) error {
	if d.Adapter == nil {
		return nil
	}
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
	verdicts, err := trust.Look(d.Adapter.Digest, keys, text)
	if err != nil {
		d.SignatureNote = "the signature file cannot be read: " + err.Error()
	}
	for _, v := range verdicts {
		d.Signatures = append(d.Signatures, Signature{Key: v.KeyID, Signer: v.Signer, Reason: v.Reason, As: v.Name,
			Time: v.Time.Format(time.RFC3339), Comment: v.Comment})
	}
	if text == nil && list != "" {
		d.SignatureNote = "it is not signed"
	}
	return nil
}
