package main

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

func TestURLs(t *testing.T) {
	machine := []net.Addr{}
	for _, s := range []string{"127.0.0.1/8", "::1/128", "192.168.1.20/24", "fe80::1/64", "2001:db8::7/64"} {
		ip, network, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		network.IP = ip
		machine = append(machine, network)
	}
	for _, c := range []struct {
		listen, own string
		others      []string
	}{
		{"127.0.0.1:8080", "http://localhost:8080", nil},
		{"[::1]:8080", "http://localhost:8080", nil},
		{"0.0.0.0:8080", "http://localhost:8080", []string{"http://192.168.1.20:8080"}},
		{"[::]:80", "http://localhost:80", []string{"http://192.168.1.20:80", "http://[2001:db8::7]:80"}},
		{"192.168.1.20:8080", "http://192.168.1.20:8080", nil},
		{"[2001:db8::7]:8080", "http://[2001:db8::7]:8080", nil},
		{"[::ffff:192.168.1.20]:8080", "http://192.168.1.20:8080", nil},
	} {
		at := netip.MustParseAddrPort(c.listen)
		if got := own(at); got != c.own {
			t.Errorf("%s: own URL %s, want %s", c.listen, got, c.own)
		}
		if got := others(at, machine); !slices.Equal(got, c.others) {
			t.Errorf("%s: others' URLs %v, want %v", c.listen, got, c.others)
		}
	}
}
