package connector

import "github.com/gobwas/ws"

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
