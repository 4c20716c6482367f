package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"knatter.dev/chat"
)

// WebSocket's opcodes.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

var errProtocol = errors.New("the server broke the WebSocket protocol")

// next splits a frame off the front of b. With n 0 there is no whole one yet.
// Only what the server sends is understood: whole messages, not masked.
func next(b []byte) (op byte, payload []byte, n int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	if b[0]&0xf0 != 0x80 || b[1]&0x80 != 0 {
		return 0, nil, 0, errProtocol
	}
	head, size := 2, uint64(b[1])
	switch size {
	case 126:
		head = 4
		if len(b) < head {
			return 0, nil, 0, nil
		}
		size = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		head = 10
		if len(b) < head {
			return 0, nil, 0, nil
		}
		size = binary.BigEndian.Uint64(b[2:])
		if size > 16<<20 {
			return 0, nil, 0, errProtocol
		}
	}
	n = head + int(size)
	if len(b) < n {
		return 0, nil, 0, nil
	}
	return b[0] & 0xf, b[head:n], n, nil
}

// appendFrame appends a client's frame. Its masking key is zero, which the
// protocol allows and which leaves the payload as it is.
func appendFrame(b []byte, op byte, payload []byte) []byte {
	b = append(b, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, 0x80|127)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

const key = "a25hdHRlci1sb2FkLWdlbg==" // Sec-WebSocket-Key

var accept = func() string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

func handshake(host, token string) []byte {
	return []byte("GET /v1/socket HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\nSec-WebSocket-Protocol: cloudevents.json\r\n" +
		"Authorization: Bearer " + token + "\r\n\r\n")
}

// accepted checks the answer to a handshake and returns its length, 0 when it is
// not whole yet.
func accepted(b []byte) (int, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, nil
	}
	head := string(b[:end])
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, accept) {
		line, _, _ := strings.Cut(head, "\r\n")
		return 0, fmt.Errorf("refused: %s %.200s", line, b[end:])
	}
	return end + 4, nil
}

// arrived is what the checks need of a frame. It is cut out of the JSON: decoding
// each frame would cost more than all else here. One in a thousand is decoded.
type arrived struct {
	typ      []byte
	kind     kind   // of an event of the load, kinds of any other
	id       []byte // of the event; of an ack or an error the event that it is about
	sequence int64
}

var (
	keyType     = []byte(`"type":"dev.knatter.`)
	keyID       = []byte(`"id":"`)
	keySequence = []byte(`"sequence":"`)
	keyEvent    = []byte(`"event":"`)
	keyMessage  = []byte(`"message":"`)
	keyText     = []byte(`"text":"`)
	keyEmoji    = []byte(`"emoji":"`)
	keyUser     = []byte(`"source":"/users/`)
	keyUpTo     = []byte(`"upTo":"`)
	gone        = []byte(`"status":404`)

	typeAck        = []byte("ack")
	typeRefused    = []byte("error")
	typeOpened     = []byte("session.opened")
	typeSubscribed = []byte("room.subscribed")
)

// member returns what is between a member's opening and closing quotes. Within a
// JSON string a quote is escaped, so text cannot be taken for a member.
func member(b, key []byte) []byte {
	_, b, ok := bytes.Cut(b, key)
	if !ok {
		return nil
	}
	end := bytes.IndexByte(b, '"')
	if end < 0 {
		return nil
	}
	return b[:end]
}

func cutFrame(b []byte) arrived {
	a := arrived{typ: member(b, keyType), kind: kinds}
	switch {
	case bytes.Equal(a.typ, typeAck), bytes.Equal(a.typ, typeRefused):
		a.id = member(b, keyEvent)
		a.sequence = sequenceOf(member(b, keySequence))
		return a
	}
	for k := range kinds {
		if string(a.typ) == types[k] {
			a.kind = k
			a.id = member(b, keyID)
			a.sequence = sequenceOf(member(b, keySequence))
		}
	}
	return a
}

func sequenceOf(b []byte) int64 {
	n, _ := strconv.ParseInt(string(b), 10, 64)
	return n
}

// verify decodes a frame in full and compares it with what was cut out of it. Its data
// is what its type is to have.
func verify(b []byte, a arrived, room chat.RoomID) error {
	e, err := chat.DecodeFrame(b)
	if err != nil {
		return err
	}
	if err := chat.CheckLogged(&e); err != nil {
		return err
	}
	if e.ID != string(a.id) || int64(e.Sequence) != a.sequence || e.Room != room || e.User() == "" || e.Type.Short() != types[a.kind] {
		return fmt.Errorf("event %s of room %s is not as it was sent", e.ID, e.Room)
	}
	return nil
}

// ident is what an event's id says: who sent it, the how many-eth of that sender's
// series it is (from 1), and when it was due, in nanoseconds of the shared clock. So a
// receiver needs nothing else to check it. It is written as a UUID of version 7, which is
// what clients are advised to send: what would be chance there is the rest of a
// millisecond, 20 bits, the sender, 24, the series, 2, and the number, 28.
type ident struct {
	sender, n uint32
	series    series
	due       int64
}

const (
	senderBits = 24
	numberBits = 30
	seriesBits = 28 // below those of the series
)

func (i ident) append(b []byte) []byte {
	var u uuid.UUID
	milli, nano := uint64(i.due/1e6), uint64(i.due%1e6)
	low := (nano&0xff)<<(senderBits+numberBits) | uint64(i.sender)<<numberBits | uint64(i.series)<<seriesBits | uint64(i.n)
	binary.BigEndian.PutUint64(u[:], milli<<16|7<<12|nano>>8)
	binary.BigEndian.PutUint64(u[8:], 1<<63|low)
	return append(b, u.String()...)
}

func parseIdent(b []byte) (ident, bool) {
	u, err := uuid.ParseBytes(b)
	if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
		return ident{}, false
	}
	high, low := binary.BigEndian.Uint64(u[:]), binary.BigEndian.Uint64(u[8:])
	milli, nano := int64(high>>16), int64(high&0xfff<<8|low>>(senderBits+numberBits)&0xff)
	return ident{
		sender: uint32(low >> numberBits & (1<<senderBits - 1)),
		series: series(low >> seriesBits & 3),
		n:      uint32(low & (1<<seriesBits - 1)),
		due:    milli*1e6 + nano,
	}, nano < 1e6
}
