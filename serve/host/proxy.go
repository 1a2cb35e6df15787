package host

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ParseProxies reads the addresses, or networks, of proxies that are trusted to say whose request they pass on.
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

// forwarding are the headers by which proxies tell that they passed a request on.
var forwarding = []string{"X-Forwarded-For", "Forwarded", "X-Forwarded-Host", "X-Real-Ip", "Via"}

// client returns the address of who sent a request, and whether a proxy passed it on. Whom to believe is known from the
// near end: each address was written by the one after it.
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
	return r.RemoteAddr, true // of a proxy, or of who is taken for one
}

// trusts reports whether an address is that of a trusted proxy.
func (h *Host) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(h.config.Proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}
