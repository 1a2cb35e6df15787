package host

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Loopback reports whether a listening address can be reached only from this machine. An empty address cannot
// be reached at all.
func Loopback(address string) bool {
	if address == "" {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// checkExposure returns an error if an address that others can reach is not protected.
func checkExposure(what, address string, tls, authenticated bool) error {
	if address == "" || Loopback(address) || tls && authenticated {
		return nil
	}
	missing := "TLS and authentication (tokens, OIDC or client certificates)"
	switch {
	case tls:
		missing = "authentication (tokens, OIDC or client certificates)"
	case authenticated:
		missing = "TLS"
	}
	return fmt.Errorf("host: %s address %s can be reached from other machines: configure %s, listen on a loopback address, or say --insecure", what, address, missing)
}

// hostAllowed reports whether a request's Host names this server. This prevents DNS rebinding: a page whose
// name was made to resolve to this machine sends its own name.
func hostAllowed(host string, allowed []string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.Trim(name, "[]"), ".")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.IsLoopback() || slices.Contains(allowed, name)
	}
	return slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, name) })
}
