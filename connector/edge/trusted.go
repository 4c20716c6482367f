package edge

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
)

// trusted are the networks of the proxies that are trusted to say who is behind them.
type trusted []netip.Prefix

// ParseNetworks parses networks, such as 10.0.0.0/8, and single addresses. Errors:
// Invalid.
func ParseNetworks(list []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		s = strings.TrimSpace(s)
		network, err := netip.ParsePrefix(s)
		if a, aerr := netip.ParseAddr(s); aerr == nil {
			network, err = a.Unmap().Prefix(a.Unmap().BitLen())
		}
		if err != nil {
			return nil, chat.Errorf(chat.Invalid, "%q is not a network, as in 10.0.0.0/8, nor an address", s)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// peer is the origin of a request.
type peer struct {
	addr   netip.Addr
	scheme string // the client's scheme: http, https, or "" if unknown
}

// peer returns the client of a request on a connection from remote.
//
// Each proxy appends the address of its caller on the right, so the list is read from
// the right for as long as its writers are trusted proxies. Everything further left may
// be made up by a client. There are two headers for it, X-Forwarded-For and Forwarded
// (RFC 7239). A proxy writes one of them and passes the other on, so if they differ one
// of them is made up. Then the request counts as the proxy's own.
func (t trusted) peer(remote netip.Addr, h *fasthttp.RequestHeader) peer {
	remote = remote.Unmap().WithZone("")
	direct := peer{addr: remote}
	if !t.contain(remote) {
		return direct
	}
	common, some := t.client(remote, forwardedFor(h))
	standard, others := t.client(remote, forwarded(h))
	switch {
	case some && others && common.addr != standard.addr:
		return direct
	case some:
		if standard.scheme == "" {
			standard.scheme = common.scheme
		}
		return peer{addr: common.addr, scheme: standard.scheme}
	case others:
		return standard
	}
	return direct
}

func (t trusted) contain(a netip.Addr) bool {
	return slices.ContainsFunc(t, func(n netip.Prefix) bool { return n.Contains(a) })
}

// hop is what one proxy says: the address of its caller, which is invalid if the proxy
// does not say it, and the scheme.
type hop peer

// client walks from the right over what the proxies said. It reports whether they said
// anything.
func (t trusted) client(remote netip.Addr, hops []hop) (peer, bool) {
	at := peer{addr: remote}
	for _, h := range slices.Backward(hops) {
		if !h.addr.IsValid() {
			break
		}
		at = peer(h)
		if !t.contain(h.addr) {
			break
		}
	}
	return at, len(hops) > 0
}

func forwardedFor(h *fasthttp.RequestHeader) (hops []hop) {
	for _, line := range h.PeekAll("X-Forwarded-For") {
		for node := range strings.SplitSeq(string(line), ",") {
			hops = append(hops, hop{addr: nodeAddress(node)})
		}
	}
	if lines := h.PeekAll("X-Forwarded-Proto"); len(hops) > 0 && len(lines) > 0 {
		last := string(lines[len(lines)-1])
		scheme := schemeOf(last[strings.LastIndexByte(last, ',')+1:])
		for i := range hops {
			hops[i].scheme = scheme
		}
	}
	return hops
}

// forwarded parses the elements of the header Forwarded.
func forwarded(h *fasthttp.RequestHeader) (hops []hop) {
	for _, line := range h.PeekAll("Forwarded") {
		for _, element := range splitQuoted(string(line), ',') {
			var at hop
			for _, pair := range splitQuoted(element, ';') {
				name, value, _ := strings.Cut(pair, "=")
				value = strings.Trim(strings.TrimSpace(value), `"`)
				switch strings.ToLower(strings.TrimSpace(name)) {
				case "for":
					at.addr = nodeAddress(value)
				case "proto":
					at.scheme = schemeOf(value)
				}
			}
			hops = append(hops, at)
		}
	}
	return hops
}

// splitQuoted splits s at separators that are not between quotes.
func splitQuoted(s string, separator byte) (parts []string) {
	quoted, begin := false, 0
	for i := range len(s) {
		switch s[i] {
		case '"':
			quoted = !quoted
		case separator:
			if !quoted {
				parts = append(parts, s[begin:i])
				begin = i + 1
			}
		}
	}
	return append(parts, s[begin:])
}

// nodeAddress returns the address of a node, which may have a port: 192.0.2.1,
// 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80. It is invalid for
// anything else, such as unknown.
func nodeAddress(node string) netip.Addr {
	node = strings.TrimSpace(node)
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(node, "["), "]")); err == nil {
		return a.Unmap().WithZone("")
	}
	if a, err := netip.ParseAddrPort(node); err == nil {
		return a.Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

func schemeOf(s string) string {
	switch s = strings.ToLower(strings.TrimSpace(s)); s {
	case "http", "https":
		return s
	}
	return ""
}

// remoteAddress returns the address at the other end of a connection. It is invalid if
// the connection is not of the network.
func remoteAddress(ctx *fasthttp.RequestCtx) netip.Addr {
	a, err := netip.ParseAddrPort(ctx.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}
