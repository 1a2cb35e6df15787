package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"melo.example/melo/lora/adapterfile"
	"melo.example/melo/lora/trust"
)

// signOptions are the options of "melo sign".
type signOptions struct {
	NewKey  bool     `help:"Create a key: write the private key to KEY and print the public key as a line for --trust."`
	Public  bool     `help:"Print the public key of KEY again."`
	Name    string   `placeholder:"NAME" help:"Owner of the key, for the public line. Default: the name of the file."`
	As      string   `placeholder:"NAME" help:"Sign for an adapter of this name only, so that the file cannot be used in place of another adapter."`
	Comment string   `placeholder:"TEXT" help:"One line of text that is included in the signature."`
	Key     string   `arg:"" name:"key" help:"Private key file."`
	Files   []string `arg:"" optional:"" name:"adapter" help:"Adapters: files or PEFT folders."`
}

// Help returns the long help text.
func (signOptions) Help() string {
	return `Signs adapters with Ed25519, so that other commands (melo serve, predict, eval and explain with --trust) can refuse
adapters without a trusted signature. The signature is a text file next to the adapter (ADAPTER.sig), which several
people may sign; the adapter and its digest do not change. docs/format/signature.md describes the format.

The private key is not encrypted: store it where only its owner can read it. Adapters are read and checked before they
are signed.

Examples:

    melo sign --new-key radiology.key --name radiology >> trusted
    melo sign radiology.key busi.safetensors
    melo sign radiology.key busi.safetensors --as busi --comment "validated"
    melo inspect busi.safetensors --trust trusted
    melo serve --base vit_base/ --adapters adapters/ --trust trusted` + exitHelp
}

// Validate rejects invalid option values.
func (o *signOptions) Validate() error {
	alone := o.NewKey || o.Public
	switch {
	case o.NewKey && o.Public:
		return errors.New("--new-key prints the public half already")
	case alone && (len(o.Files) > 0 || o.As != "" || o.Comment != ""):
		return errors.New("--new-key and --public take a key and no adapters")
	case !alone && len(o.Files) == 0:
		return errors.New("give adapters to sign, or --new-key")
	case !alone && o.Name != "":
		return errors.New("--name goes with --new-key or --public: whose key it is, is said by the list of those who trust it")
	}
	return nil
}

// signDocument is the --json document of "melo sign".
type signDocument struct {
	Key    string           `json:"key"`              // key ID
	Line   string           `json:"line,omitempty"`   // public key as a line for --trust
	Signed []signedDocument `json:"signed,omitempty"` // adapters
}

// signedDocument is an adapter that was signed.
type signedDocument struct {
	Path      string `json:"path"`
	Digest    string `json:"digest"`
	Signature string `json:"signature"` // path of the signature file
}

// Run creates a key, or signs.
func (o *signOptions) Run(ctx context.Context, s *stdio) error {
	if !o.NewKey {
		key, err := trust.ReadSecretKey(o.Key)
		if err != nil {
			return badInput(err)
		}
		if o.Public {
			return o.printPublic(s, key)
		}
		return o.sign(ctx, s, key)
	}
	if err := trust.CheckName(o.owner()); err != nil {
		return usage(err)
	}
	key, err := trust.NewKey()
	if err != nil {
		return err
	}
	if err := key.Write(o.Key); err != nil {
		return err
	}
	if !s.json {
		s.notef("%s is the secret key: whoever has it can sign. The line is for the lists of those who trust it (--trust).", o.Key)
	}
	return o.printPublic(s, key)
}

// owner returns the name of the key's owner.
func (o *signOptions) owner() string {
	if o.Name != "" {
		return o.Name
	}
	return strings.TrimSuffix(filepath.Base(o.Key), filepath.Ext(o.Key))
}

func (o *signOptions) printPublic(s *stdio, key *trust.SecretKey) error {
	if err := trust.CheckName(o.owner()); err != nil {
		return usage(err)
	}
	public := key.Public(o.owner())
	s.printf("%s", public)
	return s.document(signDocument{Key: public.ID(), Line: public.String()})
}

// sign signs every file. It reads all files first, so that nothing is signed if one cannot be read.
func (o *signOptions) sign(ctx context.Context, s *stdio, key *trust.SecretKey) error {
	doc := signDocument{Key: key.Public("").ID()}
	signatures := make([]trust.Signature, len(o.Files))
	for i, path := range o.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		digest, err := adapterfile.Identity(path)
		if err != nil {
			return badInput(err)
		}
		signatures[i], err = key.Sign(trust.Signature{Digest: digest, Name: o.As, Time: time.Now(), Comment: o.Comment})
		if err != nil {
			return usage(err)
		}
	}
	for i, path := range o.Files {
		text, err := trust.Added(path, signatures[i])
		if err != nil {
			return badInput(err)
		}
		if err := trust.WriteSignatures(path, text); err != nil {
			return err
		}
		s.printf("%s: %s signed by the key %s", trust.FileOf(path), signatures[i].Digest, doc.Key)
		doc.Signed = append(doc.Signed, signedDocument{path, signatures[i].Digest, path + trust.Extension})
	}
	return s.document(doc)
}
