package socket

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// The parts of a frame's header.
const (
	maxControlPayload = 125
	finalBit          = 1 << 7

	len16, len64, max7, max16 = 126, 127, 125, 0xffff
)

// Frame is a complete, unmasked message including its header. A server's frames are the
// same for every receiver, so one serves all of them.
func Frame(op Op, payload []byte) []byte {
	b := make([]byte, 0, 10+len(payload))
	b = append(b, finalBit|byte(op))
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

// CloseFrame returns a close frame. It cuts a reason that is too long.
func CloseFrame(code int, reason string) []byte {
	payload := binary.BigEndian.AppendUint16(nil, uint16(code))
	payload = append(payload, reason...)
	return Frame(ws.OpClose, payload[:min(len(payload), maxControlPayload)])
}
