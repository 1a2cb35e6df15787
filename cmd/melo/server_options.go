package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	config "melo.example/melo/internal/settings"

	"melo.example/melo/client"
	"melo.example/melo/internal/regular"
)

// tokenVariable is the environment variable with a client's token.
const tokenVariable = config.Prefix + "TOKEN"

// serverOptions say which server to use, and the client's credentials.
type serverOptions struct {
	Server     string `placeholder:"URL" group:"Server:" help:"Use the \"melo serve\" at this address, such as http://127.0.0.1:8080, instead of loading the base here."`
	TokenFile  string `placeholder:"FILE" group:"Server:" help:"File with the access token. Default: the environment variable MELO_TOKEN."`
	ServerCA   string `name:"server-ca" placeholder:"FILE" group:"Server:" help:"Certificate authority of the server, PEM. Default: those of the system."`
	ClientCert string `placeholder:"FILE" group:"Server:" help:"Client certificate, PEM."`
	ClientKey  string `placeholder:"FILE" group:"Server:" help:"Private key of the client certificate, PEM."`
}

// maxTokenLen is the maximum size in bytes of a token file.
const maxTokenLen = 16 << 10

// open checks the options and returns a client. It does not connect yet.
func (o *serverOptions) open() (*client.Client, error) {
	c := client.Options{Server: o.Server, Token: os.Getenv(tokenVariable)}
	if o.TokenFile != "" {
		token, err := regular.ReadFile(o.TokenFile, maxTokenLen)
		if err != nil {
			return nil, badInput(fmt.Errorf("--token-file: %w", err))
		}
		c.Token = strings.TrimSpace(string(token))
	}
	var err error
	if c.TLS, err = o.tls(); err != nil {
		return nil, badInput(err)
	}
	asks, err := client.New(c)
	if err != nil {
		return nil, usage(fmt.Errorf("--server: %s", oneLine(err)))
	}
	return asks, nil
}

func (o *serverOptions) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.ServerCA != "" {
		pem, err := regular.ReadFile(o.ServerCA, 1<<20)
		if err != nil {
			return nil, fmt.Errorf("--server-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--server-ca: %s: no certificates in it", o.ServerCA)
		}
	}
	if (o.ClientCert == "") != (o.ClientKey == "") {
		return nil, errors.New("--client-cert and --client-key belong together")
	}
	if o.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(o.ClientCert, o.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("--client-cert %s: %w", o.ClientCert, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
