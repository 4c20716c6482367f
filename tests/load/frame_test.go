package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"knatter.dev/chat"
)

// serverFrame is a frame as the server sends it: not masked.
func serverFrame(op byte, payload []byte) []byte {
	b := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = append(b, 126, byte(n>>8), byte(n))
	default:
		b = append(b, 127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, payload...)
}

func TestNextTakesFramesHoweverTheyAreCut(t *testing.T) {
	var stream []byte
	var want []int
	for _, n := range []int{0, 1, 125, 126, 65_535, 65_536, 100_000} {
		stream = append(stream, serverFrame(opText, bytes.Repeat([]byte{'x'}, n))...)
		want = append(want, n)
	}
	for _, step := range []int{1, 7, 1000, len(stream)} {
		var buf []byte
		var got []int
		for at := 0; at < len(stream); at += step {
			buf = append(buf, stream[at:min(at+step, len(stream))]...)
			for {
				op, payload, n, err := next(buf)
				if err != nil || n > 0 && op != opText {
					t.Fatal(op, err)
				}
				if n == 0 {
					break
				}
				got = append(got, len(payload))
				buf = buf[n:]
			}
		}
		if len(got) != len(want) || len(buf) != 0 {
			t.Fatalf("%d bytes at a time: frames of %v, want %v", step, got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%d bytes at a time: frame %d has %d bytes, want %d", step, i, got[i], want[i])
			}
		}
	}
}

func TestNextRefusesWhatNoServerSends(t *testing.T) {
	for _, b := range [][]byte{{0x01, 0}, {0x81, 0x80}, {0xc1, 0}, {0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0}} {
		if _, _, _, err := next(b); err == nil {
			t.Errorf("%x was taken", b)
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add(serverFrame(opText, []byte("hello")))
	f.Add(serverFrame(opText, make([]byte, 300)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, payload, n, err := next(b)
		if n > len(b) || len(payload) > n || err != nil && n != 0 {
			t.Errorf("%d of %d bytes, payload of %d, %v", n, len(b), len(payload), err)
		}
	})
}

func TestIdent(t *testing.T) {
	for _, want := range []ident{{}, {1, 2, marks, 3}, {1<<senderBits - 1, 1<<seriesBits - 1, 3, 1<<62 + 12345}} {
		b := want.append(nil)
		if u, err := uuid.ParseBytes(b); err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
			t.Errorf("%s is no UUID of version 7: %v", b, err)
		}
		if got, ok := parseIdent(b); !ok || got != want {
			t.Errorf("%s: got %v %v, want %v", b, got, ok, want)
		}
	}
	for _, bad := range []string{
		"", "0192-uuid", uuid.NewString(), // of version 4
		"019ab3e2-7c31-7fff-bfff-ffffffffffff", // over a million nanoseconds
	} {
		if _, ok := parseIdent([]byte(bad)); ok {
			t.Errorf("%q was taken for an id", bad)
		}
	}
}

// What is cut out of a frame is what its decoder reads, whatever the text says.
func TestCutFrameAgreesWithTheCodec(t *testing.T) {
	for _, text := range []string{"hi", `","id":"evil","sequence":"9999`, `"type":"dev.knatter.ack"`, "안녕 😀"} {
		e, err := chat.NewEvent("1.2.3", "alice", chat.MessagePosted, "room", chat.Posted{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		e.Sequence, e.Time = 42, time.Now()
		b := e.AppendFrame(nil)
		a := cutFrame(b)
		if a.kind != posted {
			t.Errorf("%q: type %q", text, a.typ)
		}
		if err := verify(b, a, "room"); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if err := verify(b, a, "other"); err == nil {
			t.Errorf("%q: of another room, and accepted", text)
		}
	}
	ack := cutFrame([]byte(`{"specversion":"1.0","id":"x-1","source":"/connectors/0","type":"dev.knatter.ack","data":{"event":"1.2.3","sequence":"0000000000000042"}}`))
	if string(ack.id) != "1.2.3" {
		t.Errorf("the ack is for %q", ack.id)
	}
}

func TestAccepted(t *testing.T) {
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept + "\r\n\r\n"
	if n, err := accepted([]byte(answer + "rest")); n != len(answer) || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if n, err := accepted([]byte(answer[:20])); n != 0 || err != nil {
		t.Errorf("half an answer: %d %v", n, err)
	}
	for _, bad := range []string{"HTTP/1.1 400 Bad Request\r\n\r\nno", strings.Replace(answer, accept, "x", 1)} {
		if _, err := accepted([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
