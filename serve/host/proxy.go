package host

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ParseProxies parses the addresses or networks of proxies that are trusted to give the original client
// address.
func ParseProxies(list []string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("host: proxy %.60q, expected an address such as 10.0.0.7 or a network such as 10.0.0.0/24", s)
		}
		proxies = append(proxies, p.Masked())
	}
	return proxies, nil
}

// forwarding lists the headers by which proxies show that they forwarded a request.
var forwarding = []string{"X-Forwarded-For", "Forwarded", "X-Forwarded-Host", "X-Real-Ip", "Via"}

// client returns the address of the original client, and whether a proxy forwarded the request. The list is
// evaluated from the end: each address was added by the proxy after it.
func (h *Host) client(r *http.Request) (address string, proxied bool) {
	proxied = slices.ContainsFunc(forwarding, func(name string) bool { return r.Header.Get(name) != "" })
	near, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !h.trusts(near.Addr()) {
		return r.RemoteAddr, proxied
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	const most = 32
	for i := len(hops) - 1; i >= max(0, len(hops)-most); i-- {
		hop := strings.TrimSpace(hops[i])
		a, err := netip.ParseAddr(strings.Trim(hop, "[]"))
		if err != nil {
			port, err := netip.ParseAddrPort(hop)
			if err != nil {
				return r.RemoteAddr, true
			}
			a = port.Addr()
		}
		if !h.trusts(a) {
			return a.Unmap().WithZone("").String(), true
		}
	}
	return r.RemoteAddr, true // the address of a proxy, or of a client that pretends to be one
}

// trusts reports whether an address is that of a trusted proxy.
func (h *Host) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(h.config.Proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}
