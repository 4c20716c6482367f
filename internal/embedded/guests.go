package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/time/rate"
)

// Limits of what all guests together may request. Their connections take turns.
const (
	guestRequest  = 64 << 10         // bytes
	guestAnswer   = 256 << 10        // bytes of events; one batch of them may be larger
	guestBytes    = 8 << 20          // of answers a second, and at once; fetches wait for more
	guestWait     = 30 * time.Second // for events to come
	guestRate     = 500              // requests a second, without those for logging in
	guestTurn     = time.Second      // maximum wait for a request's turn
	guestGroups   = 64               // groups that they join or commit to
	guestMetadata = 128              // bytes committed with an offset
)

type guests struct {
	rate  *rate.Limiter
	bytes *rate.Limiter

	mu     sync.Mutex
	groups map[string]bool
}

func newGuests() *guests {
	return &guests{rate: rate.NewLimiter(guestRate, guestRate), bytes: rate.NewLimiter(guestBytes, guestBytes), groups: make(map[string]bool)}
}

// turn waits until one more request may be handled, or stop is closed. Errors: when the
// wait would be too long.
func (g *guests) turn(stop <-chan struct{}) error {
	r := g.rate.Reserve()
	delay := r.Delay()
	if delay > guestTurn {
		r.Cancel()
		return errors.New("too many requests without the log's secret")
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-stop:
		}
	}
	return nil
}

// answered counts the bytes of an answer.
func (g *guests) answered(n int) { g.bytes.ReserveN(time.Now(), min(n, guestBytes)) }

// read waits until more events may be read, or stop is closed. Errors: when the wait
// would be too long.
func (g *guests) read(stop <-chan struct{}) error {
	delay := g.bytes.ReserveN(time.Now(), 0).Delay()
	if delay > guestWait {
		return errors.New("too much is read without the log's secret")
	}
	select {
	case <-time.After(delay):
	case <-stop:
	}
	return nil
}

// admit returns the request to pass to kfake. It reduces what would cost too much,
// where the protocol leaves that to the broker. Errors: when the request is not
// allowed.
func (g *guests) admit(request []byte, stop <-chan struct{}) ([]byte, error) {
	h, err := readHeader(request)
	if err != nil {
		return nil, err
	}
	switch h.request.(type) {
	case *kmsg.ApiVersionsRequest, *kmsg.SASLHandshakeRequest, *kmsg.SASLAuthenticateRequest:
		// So our own clients begin too, whatever guests are at.
	default:
		if err := g.turn(stop); err != nil {
			return nil, err
		}
	}
	head, body := request[:len(request)-len(h.body)], h.body
	switch r := h.request.(type) {
	case *kmsg.FetchRequest:
		if err := r.ReadFrom(body); err != nil {
			return nil, err
		}
		r.MaxBytes = min(r.MaxBytes, guestAnswer)
		r.MaxWaitMillis = min(r.MaxWaitMillis, int32(guestWait.Milliseconds()))
		// No session: there is room for some only, and a number is all it takes to get
		// into another client's.
		r.SessionID, r.SessionEpoch, r.ForgottenTopics = 0, -1, nil
		return r.AppendTo(slices.Clone(head)), g.read(stop)
	case *kmsg.OffsetCommitRequest:
		if err := r.ReadFrom(body); err != nil {
			return nil, err
		}
		for _, t := range r.Topics {
			for i, p := range t.Partitions {
				if p.Metadata != nil && len(*p.Metadata) > guestMetadata {
					t.Partitions[i].Metadata = nil
				}
			}
		}
		return r.AppendTo(slices.Clone(head)), g.join(r.Group)
	case *kmsg.JoinGroupRequest:
		if err := r.ReadFrom(body); err != nil {
			return nil, err
		}
		return request, g.join(r.Group)
	case *kmsg.ConsumerGroupHeartbeatRequest:
		if err := r.ReadFrom(body); err != nil {
			return nil, err
		}
		return request, g.join(r.Group)
	case *kmsg.ProduceRequest: // would be refused, but without an answer the client would not learn that
		if _, durable := new(free).durable(request); !durable {
			return nil, errors.New("append without an answer")
		}
	case *kmsg.SASLAuthenticateRequest:
		if err := r.ReadFrom(body); err != nil {
			return nil, err
		}
		// For an unknown user, kfake would compare the password with "".
		if bytes.HasSuffix(r.SASLAuthBytes, []byte{0}) {
			return nil, errors.New("log-in without a password")
		}
	}
	return request, nil
}

// join counts a group that a guest uses. Our own groups are closed to guests, so they
// do not count.
func (g *guests) join(group string) error {
	if strings.HasPrefix(group, ownGroups) {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.groups[group] && len(g.groups) >= guestGroups {
		return fmt.Errorf("clients without the log's secret already use %d groups", guestGroups)
	}
	g.groups[group] = true
	return nil
}

// header is the beginning of a request.
type header struct {
	request     kmsg.Request // of the right kind and version, otherwise empty
	correlation int32
	body        []byte // the rest
}

// readHeader parses the beginning of a request. Errors: if kfake could not read it,
// since kfake panics on kinds of requests that it does not know.
func readHeader(request []byte) (h header, err error) {
	r := kbin.Reader{Src: request}
	key, version := r.Int16(), r.Int16()
	h.correlation = r.Int32()
	r.NullableString() // the client's id
	if h.request = kmsg.RequestForKey(key); h.request == nil {
		return h, fmt.Errorf("unknown request: %d", key)
	}
	h.request.SetVersion(version)
	if h.request.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	h.body = r.Src
	return h, r.Complete()
}
