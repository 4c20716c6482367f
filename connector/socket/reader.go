// Package socket is the server's end of WebSockets (RFC 6455): the [Handshake], a [Reader]
// of clients' frames, and a [Queue] of what is to be written. It knows nothing of chat. What is wrong
// with a client's frames becomes an error with the close code that its owner should send.
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

// Op is what kind of message was read.
type Op = ws.OpCode

// The kinds that Next returns.
const (
	Text   = ws.OpText
	Binary = ws.OpBinary
	Ping   = ws.OpPing
	Pong   = ws.OpPong
)

// Error is why a client's frames can't be read on: the close code for it.
type Error struct {
	Code   int
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%d %s", e.Code, e.Reason) }

// ErrClosed says that the client has sent a close frame.
var ErrClosed = errors.New("closed by the client")

// Owner is told what comes while a Reader reads, and decides how fast it does.
type Owner interface {
	// Frame is called for each frame once its header has been read, before its
	// payload of so many bytes is. It may wait. Its error ends the reading.
	Frame(payload int) error

	// Busy says that a message has begun to come, and that it is complete. Frames
	// between the two don't count: a message of many fragments is one.
	Busy(bool)

	// Ping is a ping that came between the fragments of a message.
	Ping(payload []byte)
}

const (
	readBuffer = 512 // for many idle sockets; larger payloads go past it
)

// Reader reads the frames of one client. Its methods are for one goroutine.
type Reader struct {
	br    *bufio.Reader
	owner Owner
	max   int
}

// NewReader returns a reader of what comes by r, of messages of at most so many
// bytes.
func NewReader(r io.Reader, owner Owner, maxMessage int) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, readBuffer), owner: owner, max: maxMessage}
}

// Wait waits for the first byte of a frame. A caller needs no memory for the message
// before.
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

// header reads the header of the next frame and has the owner count it.
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

// payload appends a frame's payload to buf, which grows with what comes, not with
// what the header promises.
func (r *Reader) payload(h ws.Header, buf *bytes.Buffer) error {
	begin := buf.Len()
	if _, err := io.CopyN(buf, r.br, h.Length); err != nil {
		return err
	}
	ws.Cipher(buf.Bytes()[begin:], h.Mask, 0)
	return nil
}

// control reads a control frame. One between fragments must leave them alone, so its
// payload lies behind them in buf only for the moment.
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

// closing is what a client's close frame means.
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

// validCode reports whether a close frame may have the code: those that are registered,
// without the ones that stand for its absence, and those of applications.
func validCode(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}
