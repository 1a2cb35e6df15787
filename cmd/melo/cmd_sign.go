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
	NewKey  bool     `help:"Make a new key: KEY gets the secret half, and the public half is printed as a line for --trust."`
	Public  bool     `help:"Print the public half of KEY again."`
	Name    string   `placeholder:"NAME" help:"Whose key it is, for the public line (default: the name of the file)."`
	As      string   `placeholder:"NAME" help:"Sign for an adapter of this name alone, so that nobody can put the file in another's place."`
	Comment string   `placeholder:"TEXT" help:"One line that is signed, too."`
	Key     string   `arg:"" name:"key" help:"File of the secret key."`
	Files   []string `arg:"" optional:"" name:"adapter" help:"Adapters: files, or folders of PEFT."`
}

// Help is the long help text.
func (signOptions) Help() string {
	return `Signs adapters with Ed25519, so that "melo serve", "melo predict" and "melo eval" can refuse what nobody whom
they trust has signed (--trust). A signature is a text file beside the adapter (ADAPTER.sig), which several may sign; the
adapter stays as it is, and so does its digest. docs/format/signature.md describes it.

The secret key is not encrypted: keep it where only those may read it who may sign. Adapters are read and checked
before they are signed.

Examples:

    melo sign --new-key radiology.key --name radiology >> trusted
    melo sign radiology.key busi.safetensors
    melo sign radiology.key busi.safetensors --as busi --comment "validated"
    melo inspect busi.safetensors --trust trusted
    melo serve --base vit_base/ --adapters adapters/ --trust trusted` + exitHelp
}

// Validate refuses option values that cannot be.
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
	Key    string           `json:"key"`              // identity of the key
	Line   string           `json:"line,omitempty"`   // public half, for a list of keys
	Signed []signedDocument `json:"signed,omitempty"` // adapters
}

// signedDocument is an adapter that was signed.
type signedDocument struct {
	Path      string `json:"path"`
	Digest    string `json:"digest"`
	Signature string `json:"signature"` // path of the signature file
}

// Run makes a key, or signs.
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

// owner is whose key it is.
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

// sign signs every file. What cannot be read stops it before anything is signed.
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
