// Package listentest gives tests addresses for their servers.
package listentest

import (
	"net"
	"testing"
)

// Address returns an address on this machine where nobody listens.
func Address(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
