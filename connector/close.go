package connector

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// CloseCode says why the connector closed a socket, and so what the client should
// do.
type CloseCode int

// The close codes.
const (
	CloseNormal       = CloseCode(ws.StatusNormalClosure)           // the client ended it
	CloseDraining     = CloseCode(ws.StatusGoingAway)               // reconnect at once, resume
	CloseProtocol     = CloseCode(ws.StatusProtocolError)           // fix itself: frames that RFC 6455 forbids
	CloseNotText      = CloseCode(ws.StatusUnsupportedData)         // fix itself: only text messages are events
	CloseNotUTF8      = CloseCode(ws.StatusInvalidFramePayloadData) // fix itself
	CloseTooLarge     = CloseCode(ws.StatusMessageTooBig)           // fix itself
	CloseNotAnEvent   = CloseCode(4400)                             // fix itself
	CloseUnauthorized = CloseCode(4401)                             // log in again: no, bad, expired or revoked token
	CloseForbidden    = CloseCode(4403)                             // not retry
	CloseTooSlow      = CloseCode(4408)                             // reconnect with back-off, resume: its queue overflowed, or a message took too long to come
	CloseTooMany      = CloseCode(4429)                             // reconnect with back-off: over its rate
	closeAbnormal     = CloseCode(ws.StatusAbnormalClosure)         // never sent: the connection broke
)

// The parts of a frame's header.
const (
	maxControlPayload = 125
	finalBit          = 1 << 7
	opText            = finalBit | byte(ws.OpText)
	opPing            = finalBit | byte(ws.OpPing)
	opPong            = finalBit | byte(ws.OpPong)
	opClose           = finalBit | byte(ws.OpClose)

	len16, len64, max7, max16 = 126, 127, 125, 0xffff
)

// wireFrame is a finished, unmasked WebSocket message, header and all. A server's
// frames are the same for every receiver, so that one serves all subscribers.
func wireFrame(op byte, payload []byte) []byte {
	b := make([]byte, 0, 10+len(payload))
	b = append(b, op)
	switch n := len(payload); {
	case n <= max7:
		b = append(b, byte(n))
	case n <= max16:
		b = binary.BigEndian.AppendUint16(append(b, len16), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, len64), uint64(n))
	}
	return append(b, payload...)
}

func closeFrame(code CloseCode, reason string) []byte {
	payload := binary.BigEndian.AppendUint16(nil, uint16(code))
	payload = append(payload, reason...)
	return wireFrame(opClose, payload[:min(len(payload), maxControlPayload)])
}
