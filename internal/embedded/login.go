package embedded

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// login follows how the client of a connection logs in: first as a guest, without
// knowing it, and then perhaps with the log's secret.
type login struct {
	done  atomic.Bool // it is no guest any more
	steps int         // that are left of the log-in that has begun; used by the reading goroutine alone

	mu    sync.Mutex
	asked []ask // what a guest has yet to be answered, in order
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
	ours             // of which the client knows nothing
	step             // of a log-in
	lastStep
)

// welcome are the requests that log in a guest.
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

// steps are how many times a client speaks to log in.
var steps = map[string]int{"PLAIN": 1, "SCRAM-SHA-256": 2, "SCRAM-SHA-512": 2}

// note notes a guest's request that will be answered.
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

// next is what a guest is answered next.
func (l *login) next() (a ask) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.asked) > 0 {
		a = l.asked[0]
		l.asked = l.asked[1:]
	}
	return a
}

// accepted reports whether the answer to a log-in says that it was right.
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

// refusal is the answer to a log-in that was wrong.
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
