package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
)

// gate stands between the clients and the server. It lets one command at a time
// change documents that are there; all others pass freely. Inserts do too: the
// server carries out each as one.
type gate struct {
	server string // Unix socket
	change sync.Mutex
}

// serve accepts clients until the listener is closed.
func (g *gate) serve(l net.Listener) error {
	for {
		client, err := l.Accept()
		if err != nil {
			return err
		}
		go func() { // ends with the connection of either side
			defer client.Close()
			server, err := net.Dial("unix", g.server)
			if err != nil {
				return
			}
			defer server.Close()
			for g.exchange(client, server) == nil {
			}
		}()
	}
}

// exchange passes on one request and its reply.
func (g *gate) exchange(client, server net.Conn) error {
	request, err := message(client)
	if err != nil {
		return err
	}
	if changes(request) {
		g.change.Lock()
		defer g.change.Unlock()
	}
	if _, err := server.Write(request); err != nil {
		return err
	}
	reply, err := message(server)
	if err != nil {
		return err
	}
	_, err = client.Write(reply)
	return err
}

// Of MongoDB's wire protocol: all messages begin with a header; one of OP_MSG goes
// on with flags and sections, the first of which is the command as a document.
const (
	header  = 16
	opMsg   = 2013
	longest = 48_000_000
)

func message(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n < header || n > longest {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	m := make([]byte, n)
	copy(m, size[:])
	_, err := io.ReadFull(r, m[len(size):])
	return m, err
}

// changes reports whether the message is a command that finds documents and then
// changes them. A command's name is that of its first element.
func changes(m []byte) bool {
	const name = header + 4 + 1 + 4 + 1 // flags, kind of section, length of document, type of element
	if len(m) < name || binary.LittleEndian.Uint32(m[12:]) != opMsg {
		return false
	}
	command, _, _ := bytes.Cut(m[name:], []byte{0})
	switch string(command) {
	case "update", "delete", "findAndModify":
		return true
	}
	return false
}
