package serve

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"knatter.dev/chat"
)

// Attributes that KafkaSource adds to each record.
const (
	extKafkaOffset    = "knativekafkaoffset"
	extKafkaPartition = "knativekafkapartition"
)

// Events makes h an HTTP event function: POST of one CloudEvent, binary or
// structured, or of a batch, answered by 204 when h is done with it, or by a
// problem document. The position comes as the attribute sequence, or as
// knativekafkaoffset in the log's generation.
func Events(h chat.Handler, generation int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			write(w, "application/problem+json", http.StatusMethodNotAllowed, Problem{
				Type: "about:blank", Title: "Method not allowed", Status: http.StatusMethodNotAllowed,
			})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		events, err := decodeEvents(r)
		if err == nil {
			err = place(events, generation)
		}
		if err == nil {
			err = h.HandleEvents(r.Context(), events)
		}
		if err != nil {
			Fail(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func decodeEvents(r *http.Request) ([]chat.Event, error) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), cloudevents.ApplicationCloudEventsBatchJSON) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, bodyError(err)
		}
		return chat.DecodeBatch(body)
	}
	ce, err := cehttp.NewEventFromHTTPRequest(r)
	if err != nil {
		return nil, bodyError(err)
	}
	e, err := chat.FromCloudEvent(ce)
	if err != nil {
		return nil, err
	}
	return []chat.Event{e}, nil
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return chat.Errorf(chat.TooLarge, "the body is over %d bytes", MaxBody)
	}
	return chat.Errorf(chat.Malformed, "not a CloudEvent: %w", err)
}

// place sets what a source says with other words: the stream and the sequence.
func place(events []chat.Event, generation int) error {
	for i := range events {
		e := &events[i]
		if e.Stream == "" {
			e.Stream = e.Room
		}
		if !e.Stream.Valid() || !e.Room.Valid() {
			return chat.Errorf(chat.Invalid, "subject and partitionkey must be a room's id")
		}
		if e.Sequence == 0 {
			offset, err := strconv.ParseInt(e.Extensions[extKafkaOffset], 10, 48)
			if err != nil || offset < 0 {
				return chat.Errorf(chat.Invalid, "the event has neither sequence nor %s", extKafkaOffset)
			}
			e.Sequence = chat.SequenceAt(generation, offset)
		}
		delete(e.Extensions, extKafkaOffset)
		delete(e.Extensions, extKafkaPartition)
	}
	return nil
}

// Group makes concurrent calls share one call of h: while one batch is being
// handled the next one gathers, so that n waiting events cost one commit. Each
// call returns when its own events are done. When a shared batch fails, each
// call's events are handled alone, so that one bad event fails only its own call.
type Group struct {
	h     chat.Handler
	calls chan *call
	slot  chan struct{} // held by the caller that handles a batch
}

type call struct {
	ctx    context.Context
	events []chat.Event
	done   chan error
}

// maxGroup bounds how many calls share a batch.
const maxGroup = 512

// NewGroup returns a group over h. It has no goroutine of its own: the callers
// take turns in handling what has gathered.
func NewGroup(h chat.Handler) *Group {
	return &Group{h: h, calls: make(chan *call, maxGroup), slot: make(chan struct{}, 1)}
}

var _ chat.Handler = (*Group)(nil)

// HandleEvents implements [chat.Handler].
func (g *Group) HandleEvents(ctx context.Context, events []chat.Event) error {
	c := &call{ctx: ctx, events: events, done: make(chan error, 1)}
	select {
	case g.calls <- c:
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "overloaded: %w", ctx.Err())
	}
	for {
		select {
		case err := <-c.done:
			return err
		case g.slot <- struct{}{}:
			g.handleGathered()
			<-g.slot
		}
	}
}

// handleGathered takes the calls that have gathered and handles them as one.
func (g *Group) handleGathered() {
	var calls []*call
	var events []chat.Event
	for len(calls) < maxGroup {
		select {
		case c := <-g.calls:
			calls = append(calls, c)
			events = append(events, c.events...)
			continue
		default:
		}
		break
	}
	if len(calls) == 0 {
		return
	}
	// A caller that gave up must not fail the others, so its context is not used.
	err := g.h.HandleEvents(context.WithoutCancel(calls[0].ctx), events)
	for _, c := range calls {
		if err != nil && len(calls) > 1 {
			c.done <- g.h.HandleEvents(context.WithoutCancel(c.ctx), c.events)
			continue
		}
		c.done <- err
	}
}
