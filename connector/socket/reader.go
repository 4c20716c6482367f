// Package socket is the server side of WebSockets (RFC 6455): the [Handshake], a
// [Reader] of clients' frames, and a [Queue] of frames to write. It knows nothing of
// chat. What is wrong with a client's frames becomes an error with the close code for
// its owner to send.
package socket

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Op is the kind of a message.
type Op = ws.OpCode

// The kinds that Next returns.
const (
	Text   = ws.OpText
	Binary = ws.OpBinary
	Ping   = ws.OpPing
	Pong   = ws.OpPong
)

// Error says why reading a client's frames cannot continue, with the close code for it.
type Error struct {
	Code   int
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%d %s", e.Code, e.Reason) }

// ErrClosed means that the client has sent a close frame.
var ErrClosed = errors.New("closed by the client")

// Owner is notified of what a Reader reads, and limits its rate.
type Owner interface {
	// Frame is called for each frame when its header has been read, and before its
	// payload of the given number of bytes. It may block. Its error ends the reading.
	Frame(payload int) error

	// Busy is called when a message begins and when it is complete. Frames in between
	// do not count: a message of many fragments is one message.
	Busy(bool)

	// Ping is called for a ping between the fragments of a message.
	Ping(payload []byte)
}

const (
	readBuffer = 512 // small, for many idle sockets; larger payloads bypass it
)

// Reader reads the frames of one client. Its methods must be called by one goroutine.
type Reader struct {
	br    *bufio.Reader
	owner Owner
	max   int
}

// NewReader returns a reader of messages of at most the given number of bytes from r.
func NewReader(r io.Reader, owner Owner, maxMessage int) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, readBuffer), owner: owner, max: maxMessage}
}

// Wait waits for the first byte of a frame. Until then, a caller needs no memory for
// the message.
func (r *Reader) Wait() error {
	_, err := r.br.Peek(1)
	return err
}

// Next reads one message into buf, or a lone ping or pong. Text is UTF-8.
//
// Errors: [Error] for what the protocol forbids or is too large; ErrClosed; those of
// the owner and of the connection.
func (r *Reader) Next(buf *bytes.Buffer) (Op, error) {
	buf.Reset()
	r.owner.Busy(true)
	defer r.owner.Busy(false)
	state := ws.StateServerSide
	var op Op
	for {
		h, err := r.header(state)
		if err != nil {
			return 0, err
		}
		if h.OpCode.IsControl() {
			if kind, err := r.control(h, buf, state.Fragmented()); err != nil || !state.Fragmented() {
				return kind, err
			}
			continue
		}
		if h.Length > int64(r.max-buf.Len()) {
			return 0, &Error{int(ws.StatusMessageTooBig), fmt.Sprintf("over %d bytes", r.max)}
		}
		if err := r.payload(h, buf); err != nil {
			return 0, err
		}
		if h.OpCode != ws.OpContinuation {
			op = h.OpCode
		}
		if h.Fin {
			if op == Text && !utf8.Valid(buf.Bytes()) {
				return 0, &Error{int(ws.StatusInvalidFramePayloadData), "not UTF-8"}
			}
			return op, nil
		}
		state = state.Set(ws.StateFragmented)
	}
}

// header reads the header of the next frame and reports it to the owner.
func (r *Reader) header(state ws.State) (ws.Header, error) {
	h, err := ws.ReadHeader(r.br)
	if err == nil {
		err = ws.CheckHeader(h, state)
	}
	if _, wrong := errors.AsType[ws.ProtocolError](err); wrong || errors.Is(err, ws.ErrHeaderLengthMSB) {
		return h, &Error{int(ws.StatusProtocolError), err.Error()}
	}
	if err != nil {
		return h, err
	}
	return h, r.owner.Frame(int(min(h.Length, int64(r.max))))
}

// payload appends a frame's payload to buf. buf grows with what arrives, not with what
// the header promises.
func (r *Reader) payload(h ws.Header, buf *bytes.Buffer) error {
	begin := buf.Len()
	if _, err := io.CopyN(buf, r.br, h.Length); err != nil {
		return err
	}
	ws.Cipher(buf.Bytes()[begin:], h.Mask, 0)
	return nil
}

// control reads a control frame. Between fragments it must preserve them, so its
// payload is behind them in buf for the moment.
func (r *Reader) control(h ws.Header, buf *bytes.Buffer, between bool) (Op, error) {
	begin := buf.Len()
	if err := r.payload(h, buf); err != nil {
		return 0, err
	}
	payload := buf.Bytes()[begin:]
	if between {
		defer buf.Truncate(begin)
	}
	switch {
	case h.OpCode == ws.OpClose:
		return 0, closing(payload)
	case h.OpCode == Ping && between:
		r.owner.Ping(payload)
	}
	return h.OpCode, nil
}

// closing returns the error for a client's close frame.
func closing(payload []byte) error {
	if len(payload) == 0 {
		return ErrClosed
	}
	if len(payload) == 1 || !validCode(int(binary.BigEndian.Uint16(payload))) {
		return &Error{int(ws.StatusProtocolError), "not a close code"}
	}
	if !utf8.Valid(payload[2:]) {
		return &Error{int(ws.StatusInvalidFramePayloadData), "the reason is not UTF-8"}
	}
	return ErrClosed
}

// validCode reports whether a close frame may have the code: a registered code, except
// those that mean that there is none, or an application's code.
func validCode(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}
