package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies say whom the server believes where a request comes from.
type proxies struct {
	headers []string
	origins []netip.Prefix
}

func newProxies(headers, origins []string) (proxies, error) {
	p := proxies{headers: headers}
	for _, text := range origins {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return proxies{}, fmt.Errorf("trusted origin of proxies: %q is not a network such as 10.0.0.0/8", text)
		}
		p.origins = append(p.origins, prefix.Masked())
	}
	return p, nil
}

func (p proxies) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(p.origins, func(o netip.Prefix) bool { return o.Contains(address.Unmap()) })
}

// clientIP is the address of who asks: of the connection, or, where that is a
// trusted proxy, the nearest one in its headers that is no trusted proxy.
// What stands further away in them, anybody may have written.
func (p proxies) clientIP(r *http.Request) string {
	ip := remoteIP(r)
	address, err := netip.ParseAddr(ip)
	if err != nil || !p.trusts(address) {
		return ip
	}
	for _, header := range p.headers {
		hops := strings.Split(strings.Join(r.Header.Values(header), ","), ",")
		for _, hop := range slices.Backward(hops) {
			next, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				break
			}
			if ip = next.Unmap().String(); !p.trusts(next) {
				return ip
			}
		}
	}
	return ip
}

// remoteIP is the address of the connection.
func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
