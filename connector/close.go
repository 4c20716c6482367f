package connector

import (
	"encoding/binary"

	"github.com/fasthttp/websocket"
)

// CloseCode says why the connector closed a socket, and so what the client should
// do.
type CloseCode int

// The close codes.
const (
	CloseNormal               CloseCode = websocket.CloseNormalClosure           // the client ended it
	CloseDraining             CloseCode = websocket.CloseGoingAway               // reconnect at once, resume
	CloseNotText              CloseCode = websocket.CloseUnsupportedData         // fix itself: only text messages are events
	CloseNotUTF8              CloseCode = websocket.CloseInvalidFramePayloadData // fix itself
	CloseTooLarge             CloseCode = websocket.CloseMessageTooBig           // fix itself; sent by the WebSocket library
	CloseNotAnEvent           CloseCode = 4400                                   // fix itself
	CloseUnauthorized         CloseCode = 4401                                   // log in again: no, bad, expired or revoked token
	CloseForbidden            CloseCode = 4403                                   // not retry
	CloseTooSlow              CloseCode = 4408                                   // reconnect with back-off, resume: its queue overflowed
	CloseTooMany              CloseCode = 4429                                   // reconnect with back-off: over its rate
	closeAbnormal             CloseCode = websocket.CloseAbnormalClosure         // never sent: the connection broke
	maxControlPayload                   = 125
	finalBit                            = 1 << 7
	opText                              = finalBit | websocket.TextMessage
	opPing                              = finalBit | websocket.PingMessage
	opPong                              = finalBit | websocket.PongMessage
	opClose                             = finalBit | websocket.CloseMessage
	len16, len64, max7, max16           = 126, 127, 125, 0xffff
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
