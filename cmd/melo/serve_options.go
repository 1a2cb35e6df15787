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

// serveOptions are the options of "melo serve". Each flag can also be set in the environment and in the file
// given with --config; see serve_config.go.
type serveOptions struct {
	Config      string `placeholder:"FILE" help:"YAML file of settings, with the names of these flags."`
	PrintConfig bool   `help:"Print the effective settings and the source of each, and exit."`

	Base     config.Lines `sep:"none" placeholder:"BASE" group:"Models:" help:"${base} May be repeated: each adapter is matched to its base by digest, and a base is loaded when it is first needed."`
	Adapters string       `placeholder:"DIR" group:"Models:" help:"Folder of adapters, which is watched for changes. An adapter is named after its file."`
	trustOptions
	serveEngine
	serveAddresses
	serveClients
	serveLimits
	serveTelemetry

	settings *settings // source of each value
}

type serveEngine struct {
	Precision     string            `default:"auto" enum:"auto,f32,bf16,int8" group:"Engine:" help:"Precision of the base's matrix products: ${enum}. auto: the fastest in which every adapter passes its self-test."`
	Workers       int               `placeholder:"N" group:"Engine:" help:"Workers (default: all cores). Answers do not depend on it."`
	Batch         int               `placeholder:"N" group:"Engine:" help:"Maximum number of images per batch. Default: chosen from the measured throughput."`
	Queue         int               `default:"256" group:"Engine:" help:"Maximum number of requests that wait; further ones are rejected (HTTP 429)."`
	AdapterMemory config.Size       `default:"0" group:"Engine:" help:"Memory for adapters, such as 512MiB; the least recently used are unloaded. 0: no limit."`
	BaseMemory    config.Size       `default:"0" group:"Engine:" help:"Memory for bases and fully fine-tuned models; the least recently used are unloaded. 0: no limit."`
	Pin           []string          `placeholder:"NAME" group:"Engine:" help:"With several bases: those that are loaded at start and stay in memory, by name or as given to --base."`
	BasePrecision map[string]string `placeholder:"NAME=PRECISION" group:"Engine:" help:"With several bases: precision of one of them, overriding --precision."`
	Refuse        bool              `group:"Engine:" help:"Refuse images that do not resemble an adapter's training images, whatever the adapter's own setting. Without it they are answered and marked, without a decision."`
	Coverage      float64           `placeholder:"SHARE" group:"Engine:" help:"Include a prediction set in every answer: the labels that cannot be excluded. Sets contain the true label for this fraction of images, such as 0.9. A request may choose another; adapters without a suitable calibration answer without sets."`
	AnyBase       bool              `group:"Engine:" help:"Accept adapters that do not identify their base, and PEFT folders that name another, if the shapes match."`
	StateFile     string            `placeholder:"FILE" group:"Engine:" help:"File that preserves operators' changes (pins, aliases, canaries, unloaded adapters) across restarts."`
	Rescan        time.Duration     `default:"2s" group:"Engine:" help:"Interval at which the folder of adapters is checked."`
	CheckAdapters bool              `group:"Engine:" help:"Load every adapter once before serving, to report invalid ones at start."`
}

type serveAddresses struct {
	Listen            string        `default:"127.0.0.1:8080" group:"Addresses:" help:"Address for HTTP; off: none."`
	GRPCListen        string        `name:"grpc-listen" default:"127.0.0.1:8081" group:"Addresses:" help:"Address for gRPC; off: none."`
	MetricsListen     string        `default:"off" group:"Addresses:" help:"Additional address for /metrics and health checks, without authentication unless --metrics-token is given."`
	DebugListen       string        `default:"off" group:"Addresses:" help:"Address for net/http/pprof, without authentication."`
	TrustedProxy      []string      `placeholder:"ADDRESS" group:"Addresses:" help:"Addresses or networks of reverse proxies whose X-Forwarded-For header is trusted: limits and audit log use the client that it names. A request through a proxy never counts as local."`
	MetricsTLS        bool          `name:"metrics-tls" group:"TLS:" help:"Use the server's certificate on --metrics-listen."`
	MetricsToken      string        `placeholder:"FILE" group:"Addresses:" help:"File with the token that --metrics-listen requires."`
	AllowedHost       []string      `placeholder:"NAME" group:"Addresses:" help:"Additional host names that a server on a loopback address accepts, for example behind a proxy."`
	Insecure          bool          `group:"Addresses:" help:"Allow addresses that other machines can reach without TLS and authentication."`
	TLSCert           string        `name:"tls-cert" placeholder:"FILE" group:"TLS:" help:"Certificate of the server, PEM. Reloaded when it changes."`
	TLSKey            string        `name:"tls-key" placeholder:"FILE" group:"TLS:" help:"Private key of the certificate, PEM."`
	TLSClientCA       string        `name:"tls-client-ca" placeholder:"FILE" group:"TLS:" help:"Certificate authorities for client certificates, PEM."`
	RequireClientCert bool          `group:"TLS:" help:"Reject clients without a certificate of --tls-client-ca."`
	MaxConnections    int           `default:"4096" group:"Addresses:" help:"Maximum number of connections per listening address; the longest idle are closed to make room. It also limits concurrent calls: a quarter of it without a role, a sixteenth per client address."`
	DrainDelay        time.Duration `default:"1s" group:"Addresses:" help:"On shutdown: time between reporting not ready and closing the listeners."`
	DrainTimeout      time.Duration `default:"30s" group:"Addresses:" help:"On shutdown: time allowed for requests in progress."`
}

type serveClients struct {
	Tokens             string            `placeholder:"FILE" group:"Clients:" help:"File of clients and hashes of their tokens; \"melo token\" prints its lines. Reloaded when it changes."`
	OIDCIssuer         string            `name:"oidc-issuer" placeholder:"URL" group:"Clients:" help:"OpenID Connect provider whose tokens are accepted."`
	OIDCAudience       string            `name:"oidc-audience" placeholder:"NAME" group:"Clients:" help:"Audience that its tokens must have."`
	OIDCNameClaim      string            `name:"oidc-name-claim" default:"sub" group:"Clients:" help:"Claim with the name of the client."`
	OIDCRoleClaim      string            `name:"oidc-role-claim" default:"roles" group:"Clients:" help:"Claim with the client's roles; dots separate nested names, as in realm_access.roles."`
	OIDCRoles          map[string]string `name:"oidc-roles" placeholder:"VALUE=ROLE" group:"Clients:" help:"Roles for values of that claim. Default: viewer, operator and admin stand for themselves."`
	OIDCAdaptersClaim  string            `name:"oidc-adapters-claim" placeholder:"CLAIM" group:"Clients:" help:"Claim with the adapters that a viewer may see; * matches any text. A viewer whose token lacks the claim sees none. Operators and admins see all."`
	OIDCAdapters       map[string]string `name:"oidc-adapters" placeholder:"VALUE=ADAPTERS" group:"Clients:" help:"Adapters for values of that claim, such as radiology=chest*,busi; other values are ignored. Default: values are names of adapters."`
	ClientCertRole     string            `default:"viewer" enum:"none,viewer,operator,admin" group:"Clients:" help:"Role of clients with a certificate and no token: ${enum}."`
	AnonymousRole      string            `default:"auto" enum:"auto,none,viewer,operator,admin" group:"Clients:" help:"Role of clients without credentials: ${enum}. auto: none if authentication is configured, else admin on loopback addresses and viewer elsewhere."`
	ClientCertAdapters map[string]string `placeholder:"NAME=ADAPTERS" group:"Clients:" help:"Adapters that viewers with a certificate may see, by its common name, such as pacs=chest*,busi. The name * stands for all other clients; without it they see none."`
	AnonymousAdapters  string            `placeholder:"ADAPTERS" group:"Clients:" help:"Adapters that clients without credentials may see, with --anonymous-role viewer."`
	AuditLog           string            `placeholder:"FILE" group:"Clients:" help:"Append-only log of which client used which adapter; see melo audit."`
	AuditAnchor        string            `placeholder:"FILE" group:"Clients:" help:"File to which the hash of the audit log is appended every minute, preferably on another machine: reveals a truncated log."`
	AuditTSA           string            `name:"audit-tsa" placeholder:"URL" group:"Clients:" help:"Time stamp authority (RFC 3161) that certifies the hash of the audit log every ten minutes; responses go to the anchor file. Only the hash is sent."`
}

type serveLimits struct {
	Rate           float64       `placeholder:"N" group:"Limits of each client (0: none):" help:"Requests per second, on average."`
	Burst          int           `placeholder:"N" group:"Limits of each client (0: none):" help:"Requests at once above that rate (default: those of one second)."`
	Concurrent     int           `placeholder:"N" group:"Limits of each client (0: none):" help:"Concurrent requests."`
	ClientBody     config.Size   `default:"0" group:"Limits of each client (0: none):" help:"Bytes per request."`
	MaxBody        config.Size   `default:"64MiB" group:"Limits of requests:" help:"Bytes per request."`
	RequestMemory  config.Size   `default:"1GiB" group:"Limits of requests:" help:"Memory for all requests in progress: bodies, tensors, images and decoding. At least eight times --max-body."`
	MaxPixels      int64         `default:"50000000" group:"Limits of requests:" help:"Pixels per image."`
	MaxImages      int           `default:"64" group:"Limits of requests:" help:"Images per request."`
	MaxAnswers     int           `default:"4096" group:"Limits of requests:" help:"Answers per request: images times adapters."`
	MaxAdapter     config.Size   `default:"32MiB" group:"Limits of requests:" help:"Bytes of an uploaded adapter file."`
	RequestTimeout time.Duration `default:"60s" group:"Limits of requests:" help:"Time to answer a request."`
}

type serveTelemetry struct {
	LogFormat    string            `default:"text" enum:"text,json" group:"Telemetry:" help:"Format of the log on standard error: ${enum}."`
	LogLevel     string            `default:"info" enum:"debug,info,warn,error" group:"Telemetry:" help:"Lowest level that is logged: ${enum}. info includes one line per request."`
	OTLPEndpoint string            `name:"otlp-endpoint" placeholder:"URL" group:"Telemetry:" help:"OpenTelemetry collector for traces, such as http://localhost:4318."`
	OTLPHeaders  map[string]string `name:"otlp-headers" placeholder:"NAME=VALUE" group:"Telemetry:" secret:"true" help:"HTTP headers to send to the collector."`
	TraceSample  float64           `default:"1" group:"Telemetry:" help:"Fraction of requests to trace. A caller's traceparent header takes precedence."`
}

// Help returns the long help text.
func (serveOptions) Help() string {
	return `Serves adapters over HTTP and gRPC with the Open Inference Protocol v2 (as NVIDIA Triton), and with an upload form
and a web page. One base is kept in memory, or several in turn. Adapters are files in a folder, which may be added,
replaced and removed while the server runs. Every answer names the adapter that gave it, with its digest.

Settings are taken from flags, then from environment variables (MELO_ and the flag's name, as in MELO_GRPC_LISTEN),
then from the file given with --config. Unknown names are an error. --print-config prints the effective settings.

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

// Validate rejects invalid settings.
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

// validateNames rejects invalid lists of adapters for clients.
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

// address returns the address in a flag, empty for "off".
func address(flag string) string {
	if flag == "off" {
		return ""
	}
	return flag
}
