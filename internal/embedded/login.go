package embedded

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// login tracks how the client of a connection logs in: first as a guest, unnoticed by
// the client, and then perhaps with the log's secret.
type login struct {
	done  atomic.Bool // not a guest any longer
	steps int         // steps left of the current log-in; used by the reading goroutine only

	mu    sync.Mutex
	asked []ask // a guest's unanswered requests, in order
}

// ask is a request of a guest.
type ask struct {
	kind        askKind
	correlation int32
	version     int16
}

type askKind int

const (
	anything askKind = iota
	ours             // sent by us; the client does not know of it
	step             // of a log-in
	lastStep
)

// welcome returns the requests that log in a guest.
func (l *login) welcome() []byte {
	l.asked = []ask{{kind: ours}, {kind: ours}}
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.SetVersion(1)
	handshake.Mechanism = "PLAIN"
	auth := kmsg.NewPtrSASLAuthenticateRequest()
	auth.SASLAuthBytes = []byte("\x00" + guest + "\x00") // with no password
	f := kmsg.NewRequestFormatter()
	return slices.Concat(f.AppendRequest(nil, handshake, 0), f.AppendRequest(nil, auth, 0))
}

// steps is the number of messages in which a client logs in.
var steps = map[string]int{"PLAIN": 1, "SCRAM-SHA-256": 2, "SCRAM-SHA-512": 2}

// note notes a guest's request that will get an answer.
func (l *login) note(request []byte) error {
	h, err := readHeader(request)
	if err != nil {
		return err
	}
	a := ask{correlation: h.correlation, version: h.request.GetVersion()}
	switch r := h.request.(type) {
	case *kmsg.SASLHandshakeRequest:
		if err := r.ReadFrom(h.body); err != nil {
			return err
		}
		l.steps = steps[r.Mechanism]
	case *kmsg.SASLAuthenticateRequest:
		a.kind = step
		if l.steps == 1 {
			a.kind = lastStep
		}
		l.steps--
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, a)
	return nil
}

// next returns the kind of the guest's next answer.
func (l *login) next() (a ask) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.asked) > 0 {
		a = l.asked[0]
		l.asked = l.asked[1:]
	}
	return a
}

// accepted reports whether the answer to a log-in means success.
func (a ask) accepted(answer []byte) bool {
	const sizeAndCorrelation = 8
	resp := a.answer()
	if len(answer) <= sizeAndCorrelation {
		return false
	}
	body := answer[sizeAndCorrelation:]
	if resp.IsFlexible() {
		body = body[1:] // no tags
	}
	return resp.ReadFrom(body) == nil && resp.ErrorCode == 0
}

// refusal returns the answer to a failed log-in.
func (a ask) refusal() []byte {
	resp := a.answer()
	resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
	resp.ErrorMessage = kmsg.StringPtr("no such user, or not its password")
	answer := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(a.correlation))
	if resp.IsFlexible() {
		answer = append(answer, 0) // no tags
	}
	answer = resp.AppendTo(answer)
	binary.BigEndian.PutUint32(answer, uint32(len(answer)-4))
	return answer
}

func (a ask) answer() *kmsg.SASLAuthenticateResponse {
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	resp.SetVersion(a.version)
	return resp
}
