package main

import (
	"fmt"
	"slices"
	"time"

	"melo.example/melo/conformal"
	config "melo.example/melo/internal/settings"
	"melo.example/melo/serve/access"
	"melo.example/melo/serve/oip"
)

// serveOptions are the options of "melo serve". Every flag can also stand in the environment and in the file that
// --config names; see serve_config.go.
type serveOptions struct {
	Config      string `placeholder:"FILE" help:"YAML file of settings, named like these flags."`
	PrintConfig bool   `help:"Print the settings, and where each comes from, and end."`

	Base     config.Lines `sep:"none" placeholder:"BASE" group:"What is served:" help:"${base} Given more than once: several bases; adapters find theirs by its digest, and each is loaded when it is first asked for."`
	Adapters string       `placeholder:"DIR" group:"What is served:" help:"Folder of adapters. An adapter is named by its file; the folder is watched."`
	trustOptions
	serveEngine
	serveAddresses
	serveClients
	serveLimits
	serveTelemetry

	settings *settings // where values came from
}

type serveEngine struct {
	Precision     string            `default:"auto" enum:"auto,f32,bf16,int8" group:"Engine:" help:"Precision of the base's products: ${enum}. auto is the fastest in which every adapter passes its self-test."`
	Workers       int               `placeholder:"N" group:"Engine:" help:"Workers (default: all cores). Answers do not depend on it."`
	Batch         int               `placeholder:"N" group:"Engine:" help:"The most images of a pass (default: what the batching curve says)."`
	Queue         int               `default:"256" group:"Engine:" help:"Questions that may wait; above that clients are told to come back."`
	AdapterMemory config.Size       `default:"0" group:"Engine:" help:"Memory for adapters, such as 512MiB; the least recently used leave it. 0 is no limit."`
	BaseMemory    config.Size       `default:"0" group:"Engine:" help:"Memory that bases may take together, with those that adapters have changed; the least recently used leave it. 0 is no limit."`
	Pin           []string          `placeholder:"NAME" group:"Engine:" help:"Those of several bases that are loaded at once and stay in memory: names, or as --base has them."`
	BasePrecision map[string]string `placeholder:"NAME=PRECISION" group:"Engine:" help:"Precision of one of several bases; the others have --precision."`
	Refuse        bool              `group:"Engine:" help:"Refuse images that are not like the training images of an adapter, whatever the adapter says; otherwise they are answered and marked, and nothing is decided."`
	Coverage      float64           `placeholder:"SHARE" group:"Engine:" help:"Say in every answer which labels cannot be excluded: sets that hold the truth for this share of images, such as 0.9. A request may ask for another; adapters without a calibration for it answer without sets."`
	AnyBase       bool              `group:"Engine:" help:"Take adapters that do not say which base they belong to, and PEFT folders that call it otherwise, if their shape fits."`
	StateFile     string            `placeholder:"FILE" group:"Engine:" help:"Keeps what operators decided (pins, aliases, canaries, unloaded adapters) between runs."`
	Rescan        time.Duration     `default:"2s" group:"Engine:" help:"How often the folder is looked at."`
	CheckAdapters bool              `group:"Engine:" help:"Load every adapter once before serving, so that those which are refused are known."`
}

type serveAddresses struct {
	Listen            string        `default:"127.0.0.1:8080" group:"Addresses:" help:"Address of HTTP; off is none."`
	GRPCListen        string        `name:"grpc-listen" default:"127.0.0.1:8081" group:"Addresses:" help:"Address of gRPC; off is none."`
	MetricsListen     string        `default:"off" group:"Addresses:" help:"Further address of /metrics and the health routes, without authentication unless --metrics-token says which."`
	DebugListen       string        `default:"off" group:"Addresses:" help:"Address of net/http/pprof, without authentication."`
	TrustedProxy      []string      `placeholder:"ADDRESS" group:"Addresses:" help:"Addresses or networks of proxies that say in X-Forwarded-For whose requests they pass on: limits and audit see that client. What a proxy passes on is never taken for a client on this machine."`
	MetricsTLS        bool          `name:"metrics-tls" group:"TLS:" help:"Serve --metrics-listen with the server's certificate."`
	MetricsToken      string        `placeholder:"FILE" group:"Addresses:" help:"File with the token that readers of --metrics-listen must show."`
	AllowedHost       []string      `placeholder:"NAME" group:"Addresses:" help:"Further names by which a server on a loopback address may be called, as by a proxy."`
	Insecure          bool          `group:"Addresses:" help:"Serve addresses that other machines can reach without TLS and authentication."`
	TLSCert           string        `name:"tls-cert" placeholder:"FILE" group:"TLS:" help:"Certificate of the server, PEM. Read again when it changes."`
	TLSKey            string        `name:"tls-key" placeholder:"FILE" group:"TLS:" help:"Its key, PEM."`
	TLSClientCA       string        `name:"tls-client-ca" placeholder:"FILE" group:"TLS:" help:"Authorities of client certificates, PEM."`
	RequireClientCert bool          `group:"TLS:" help:"Refuse clients without a certificate of these authorities."`
	MaxConnections    int           `default:"4096" group:"Addresses:" help:"Connections of each address, of which the longest idle make room, and calls under way: a quarter of them without a role, a sixteenth of one address."`
	DrainDelay        time.Duration `default:"1s" group:"Addresses:" help:"When stopping: time between not being ready and closing the endpoints."`
	DrainTimeout      time.Duration `default:"30s" group:"Addresses:" help:"When stopping: time for what is under way."`
}

type serveClients struct {
	Tokens             string            `placeholder:"FILE" group:"Clients:" help:"File of clients and hashes of their tokens; \"melo token\" makes lines. Read again when it changes."`
	OIDCIssuer         string            `name:"oidc-issuer" placeholder:"URL" group:"Clients:" help:"OpenID Connect provider whose tokens are taken."`
	OIDCAudience       string            `name:"oidc-audience" placeholder:"NAME" group:"Clients:" help:"Whom its tokens must be meant for."`
	OIDCNameClaim      string            `name:"oidc-name-claim" default:"sub" group:"Clients:" help:"Claim that names the client."`
	OIDCRoleClaim      string            `name:"oidc-role-claim" default:"roles" group:"Clients:" help:"Claim that has its roles; realm_access.roles for nested ones."`
	OIDCRoles          map[string]string `name:"oidc-roles" placeholder:"VALUE=ROLE" group:"Clients:" help:"What its values mean (default: viewer, operator, admin mean themselves)."`
	OIDCAdaptersClaim  string            `name:"oidc-adapters-claim" placeholder:"CLAIM" group:"Clients:" help:"Claim that lists the adapters that a viewer may see, in which * stands for any text; a viewer whose token lacks it sees none. Operators and admins see all."`
	OIDCAdapters       map[string]string `name:"oidc-adapters" placeholder:"VALUE=ADAPTERS" group:"Clients:" help:"What its values mean, such as radiology=chest*,busi (default: they are names of adapters); other values mean nothing."`
	ClientCertRole     string            `default:"viewer" enum:"none,viewer,operator,admin" group:"Clients:" help:"Role of clients with a certificate and no token: ${enum}."`
	AnonymousRole      string            `default:"auto" enum:"auto,none,viewer,operator,admin" group:"Clients:" help:"Role of clients that show nothing: ${enum}. auto is none where there is authentication, else admin on loopback addresses and viewer elsewhere."`
	ClientCertAdapters map[string]string `placeholder:"NAME=ADAPTERS" group:"Clients:" help:"Adapters that viewers with a certificate may see, by its common name, such as pacs=chest*,busi; NAME * is everybody else, who sees none unless it is given."`
	AnonymousAdapters  string            `placeholder:"ADAPTERS" group:"Clients:" help:"Adapters that clients who show nothing may see, with --anonymous-role viewer."`
	AuditLog           string            `placeholder:"FILE" group:"Clients:" help:"Append-only log of who asked what of which adapter; see melo audit."`
	AuditAnchor        string            `placeholder:"FILE" group:"Clients:" help:"File that gets the head of the audit log every minute, best on the disk of another machine: it shows when the log was cut off."`
	AuditTSA           string            `name:"audit-tsa" placeholder:"URL" group:"Clients:" help:"Time stamp authority (RFC 3161) that attests heads of the audit log every ten minutes; the anchor file gets its answers. It learns a hash."`
}

type serveLimits struct {
	Rate           float64       `placeholder:"N" group:"Limits of each client (0: none):" help:"Requests a second, on average."`
	Burst          int           `placeholder:"N" group:"Limits of each client (0: none):" help:"Requests at once above that (default: one second of them)."`
	Concurrent     int           `placeholder:"N" group:"Limits of each client (0: none):" help:"Requests under way."`
	ClientBody     config.Size   `default:"0" group:"Limits of each client (0: none):" help:"Bytes of one request."`
	MaxBody        config.Size   `default:"64MiB" group:"Limits of requests:" help:"Bytes of one request."`
	RequestMemory  config.Size   `default:"1GiB" group:"Limits of requests:" help:"Memory of all requests under way: bodies, tensors, images and what decoding them takes. At least eight times --max-body."`
	MaxPixels      int64         `default:"50000000" group:"Limits of requests:" help:"Pixels of one image."`
	MaxImages      int           `default:"64" group:"Limits of requests:" help:"Images of one request."`
	MaxAnswers     int           `default:"4096" group:"Limits of requests:" help:"Answers of one request, images times adapters."`
	MaxAdapter     config.Size   `default:"32MiB" group:"Limits of requests:" help:"Bytes of an adapter file that is published over the wire."`
	RequestTimeout time.Duration `default:"60s" group:"Limits of requests:" help:"Time to answer a request."`
}

type serveTelemetry struct {
	LogFormat    string            `default:"text" enum:"text,json" group:"Telemetry:" help:"Format of the log on standard error: ${enum}."`
	LogLevel     string            `default:"info" enum:"debug,info,warn,error" group:"Telemetry:" help:"What is logged: ${enum} and worse. info has a line a request."`
	OTLPEndpoint string            `name:"otlp-endpoint" placeholder:"URL" group:"Telemetry:" help:"OpenTelemetry collector that gets traces, such as http://localhost:4318."`
	OTLPHeaders  map[string]string `name:"otlp-headers" placeholder:"NAME=VALUE" group:"Telemetry:" secret:"true" help:"Headers for it."`
	TraceSample  float64           `default:"1" group:"Telemetry:" help:"Share of requests that are traced; callers that send a traceparent decide about theirs."`
}

// Help is the long help text.
func (serveOptions) Help() string {
	return `Serves adapters over HTTP and gRPC: the Open Inference Protocol v2 as NVIDIA Triton speaks it, and a form and a
page for people. One base is in memory, or several in turns; adapters are files in a folder, published and withdrawn while the server
runs. Every answer says which adapter gave it, by digest.

Settings come from flags, then from the environment (MELO_ and the flag's name, as in MELO_GRPC_LISTEN), then from
the file that --config names. A name that there is not is an error. --print-config shows what holds.

Only this machine can reach the server unless TLS and authentication are configured. SIGTERM stops it: readiness
goes first, requests that were let in are answered. SIGHUP reads the file of settings and all files that settings name
again: tokens, certificates, lists of trusted adapters, the folder. Limits of clients, the level of the log and several bases change;
other settings that have changed are named in the log, as they take a restart. What cannot be read leaves what was.

Examples:

    melo serve --base vit_base/ --adapters adapters/
    curl -F image=@scan.png -F adapter=busi http://127.0.0.1:8080/v1/predict
    melo serve --base vit/ --base dino/ --adapters adapters/ --base-memory 1GiB
    melo serve --config melo.yaml --print-config
    melo token new --name ris --role viewer >> tokens.txt
    melo serve --base vit_base/ --adapters adapters/ \
        --listen :8443 --grpc-listen :8444 --audit-log audit.jsonl \
        --tls-cert server.pem --tls-key server.key --tokens tokens.txt

Research software, not a medical device.` + exitHelp
}

// Validate refuses settings that cannot be.
func (o *serveOptions) Validate() error {
	switch {
	case len(o.Base) == 0 || slices.Contains(o.Base, ""):
		return fmt.Errorf("give --base")
	case o.Adapters == "" && !o.PrintConfig:
		return fmt.Errorf("give --adapters, a folder")
	case o.Workers < 0 || o.Batch < 0 || o.Queue < 1:
		return fmt.Errorf("--workers %d, --batch %d, --queue %d: expected 0 or more, 0 or more, 1 or more", o.Workers, o.Batch, o.Queue)
	case o.Coverage != 0 && conformal.Check(o.Coverage) != nil:
		return fmt.Errorf("--%w", conformal.Check(o.Coverage))
	case o.Rescan < 100*time.Millisecond:
		return fmt.Errorf("--rescan %v, expected 100ms or more", o.Rescan)
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return fmt.Errorf("--tls-cert and --tls-key belong together")
	case o.TLSCert == "" && (o.TLSClientCA != "" || o.RequireClientCert):
		return fmt.Errorf("client certificates need --tls-cert and --tls-key")
	case o.TLSCert == "" && o.MetricsTLS:
		return fmt.Errorf("--metrics-tls needs --tls-cert and --tls-key")
	case o.AuditAnchor != "" && o.AuditLog == "":
		return fmt.Errorf("--audit-anchor needs --audit-log")
	case o.AuditTSA != "" && o.AuditAnchor == "":
		return fmt.Errorf("--audit-tsa needs --audit-anchor")
	case o.RequireClientCert && o.TLSClientCA == "":
		return fmt.Errorf("--require-client-cert needs --tls-client-ca")
	case (o.OIDCIssuer == "") != (o.OIDCAudience == ""):
		return fmt.Errorf("--oidc-issuer and --oidc-audience belong together")
	case !(o.Rate >= 0) || o.Burst < 0 || o.Concurrent < 0:
		return fmt.Errorf("--rate %g, --burst %d, --concurrent %d: expected 0 or more", o.Rate, o.Burst, o.Concurrent)
	case !(o.TraceSample >= 0 && o.TraceSample <= 1):
		return fmt.Errorf("--trace-sample %g, expected 0 to 1", o.TraceSample)
	case o.DrainDelay < 0 || o.DrainTimeout <= 0 || o.RequestTimeout <= 0:
		return fmt.Errorf("--drain-delay %v, --drain-timeout %v, --request-timeout %v: expected 0 or more, and more than 0", o.DrainDelay, o.DrainTimeout, o.RequestTimeout)
	case o.MaxConnections < 1 || o.MaxImages < 1 || o.MaxAnswers < 1 || o.MaxPixels < 1 || o.MaxBody < 1 || o.RequestMemory < 8*o.MaxBody || o.MaxAdapter < 1:
		return fmt.Errorf("limits of requests and connections must be 1 or more, and --request-memory at least eight times --max-body")
	}
	if err := o.validateNames(); err != nil {
		return err
	}
	for value, role := range o.OIDCRoles {
		if _, err := access.ParseRole(role); err != nil {
			return fmt.Errorf("--oidc-roles %s: %w", value, err)
		}
	}
	return o.validateBases()
}

// validateNames refuses lists of adapters for clients that there cannot be.
func (o *serveOptions) validateNames() error {
	switch {
	case o.OIDCAdaptersClaim != "" && o.OIDCIssuer == "":
		return fmt.Errorf("--oidc-adapters-claim needs --oidc-issuer")
	case len(o.OIDCAdapters) > 0 && o.OIDCAdaptersClaim == "":
		return fmt.Errorf("--oidc-adapters says what values of --oidc-adapters-claim mean: give that")
	case len(o.ClientCertAdapters) > 0 && (o.TLSClientCA == "" || o.ClientCertRole != "viewer"):
		return fmt.Errorf("--client-cert-adapters is for viewers with a certificate: it needs --tls-client-ca and --client-cert-role viewer")
	case o.AnonymousAdapters != "" && o.AnonymousRole != "viewer":
		return fmt.Errorf("--anonymous-adapters needs --anonymous-role viewer")
	}
	return nil
}

func (o *serveOptions) limits() oip.Limits {
	return oip.Limits{Body: int64(o.MaxBody), Memory: int64(o.RequestMemory), Rows: o.MaxImages, Answers: o.MaxAnswers, Pixels: o.MaxPixels, Adapter: int64(o.MaxAdapter)}
}

// address is that of a flag; "off" is none.
func address(flag string) string {
	if flag == "off" {
		return ""
	}
	return flag
}
