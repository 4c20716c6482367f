package main

import (
	"net"
	"net/netip"
	"strconv"
)

// own is the URL of a listener for who is on this machine.
func own(at netip.AddrPort) string {
	ip := at.Addr().Unmap()
	if ip.IsLoopback() || ip.IsUnspecified() {
		return "http://" + net.JoinHostPort("localhost", strconv.Itoa(int(at.Port())))
	}
	return "http://" + netip.AddrPortFrom(ip, at.Port()).String()
}

// others are the URLs for other machines on the network of a listener on all of
// this machine's addresses, which are given. One that listens on a single address
// has none but its own.
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
			continue // loopback and link-local ones lead nowhere from elsewhere
		}
		urls = append(urls, "http://"+netip.AddrPortFrom(ip, at.Port()).String())
	}
	return urls
}
