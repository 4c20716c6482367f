package main

import (
	"net"
	"net/netip"
	"strconv"
)

// own returns the URL of a listener for this machine.
func own(at netip.AddrPort) string {
	ip := at.Addr().Unmap()
	if ip.IsLoopback() || ip.IsUnspecified() {
		return "http://" + net.JoinHostPort("localhost", strconv.Itoa(int(at.Port())))
	}
	return "http://" + netip.AddrPortFrom(ip, at.Port()).String()
}

// others returns the URLs for other machines on the network, for a listener on all of
// this machine's addresses, which are given. A listener on a single address has only
// its own.
func others(at netip.AddrPort, addresses []net.Addr) (urls []string) {
	if !at.Addr().IsUnspecified() {
		return nil
	}
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.String())
		if err != nil {
			continue
		}
		ip := prefix.Addr().Unmap()
		if !ip.IsGlobalUnicast() || at.Addr() == netip.IPv4Unspecified() && !ip.Is4() {
			continue // other machines cannot reach loopback and link-local addresses
		}
		urls = append(urls, "http://"+netip.AddrPortFrom(ip, at.Port()).String())
	}
	return urls
}
