package serve

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/guard"
)

// Attributes that KafkaSource adds to each record.
const (
	extKafkaOffset    = "knativekafkaoffset"
	extKafkaPartition = "knativekafkapartition"
)

// Events makes h an HTTP event function: POST of one CloudEvent, binary or
// structured, or of a batch, answered by 204 when h is done with it, or by a
// problem document. The position comes as the attribute sequence, or as
// knativekafkaoffset, whose generation lineage tells, anew for each request: the
// function may be older than the log. Where the events were in the log and how far
// the caller is there comes as [OriginHeader], or as these attributes.
func Events(h chat.Handler, lineage Lineage) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			refuseMethod(w, http.MethodPost)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		events, err := DecodeEvents(r)
		if err == nil {
			err = place(r, events, lineage)
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

// Lineage returns the log's generations, as of now. Where it is nil, callers tell the
// sequence.
type Lineage func(context.Context) (chat.Lineage, error)

// of is as Lineage. Errors: Unavailable while nobody has looked at the log yet.
func (l Lineage) of(ctx context.Context) (known chat.Lineage, err error) {
	if l == nil {
		return known, nil
	}
	if known, err = l(ctx); err == nil && known.Log == "" {
		err = chat.Errorf(chat.Unavailable, "nobody has looked at the log yet: \"admin topics\" does, or a connector that starts")
	}
	return known, err
}

// place sets what a source says with other words: the stream, the sequence and where
// that is in the log, and checks that the events are such as the log has.
func place(r *http.Request, events []chat.Event, lineage Lineage) error {
	origin, err := originOf(r.Header)
	if err != nil {
		return err
	}
	var known chat.Lineage
	for i := range events {
		e := &events[i]
		e.Origin = origin
		if e.Stream == "" {
			e.Stream = chat.StreamID(e.Room)
		}
		if !e.Addressed() {
			return chat.Errorf(chat.Invalid, "subject and partitionkey must be a room's id")
		}
		signal := e.Type.Signal()
		placed := e.Sequence != 0 || signal
		if _, ok := e.Extensions[extKafkaOffset]; ok && !signal { // where the record is: nothing else knows better
			if known.Log == "" {
				if known, err = lineage.of(r.Context()); err != nil {
					return err
				}
			}
			if err := placeRecord(e, known); err != nil {
				return err
			}
			placed = true // 0 is the hidden event that begins a partition
		}
		if signal { // it has no place in the log
			e.Sequence, e.Origin = 0, nil
		}
		if !placed {
			return chat.Errorf(chat.Invalid, "the event has neither sequence nor %s", extKafkaOffset)
		}
		delete(e.Extensions, extKafkaOffset)
		delete(e.Extensions, extKafkaPartition)
		delete(e.Extensions, auth.CallerAttribute) // KafkaSource's way to show it; fan-out must not pass it on
		if err := chat.CheckLogged(e); err != nil {
			return err
		}
	}
	return nil
}

// placeRecord sets the sequence of an event by the place of its record.
func placeRecord(e *chat.Event, known chat.Lineage) error {
	offset, err := strconv.ParseInt(e.Extensions[extKafkaOffset], 10, 48)
	if err != nil || offset < 0 {
		return chat.Errorf(chat.Invalid, "%s must be an offset", extKafkaOffset)
	}
	text, told := e.Extensions[extKafkaPartition]
	partition, err := strconv.ParseInt(text, 10, 32)
	if told && (err != nil || partition < 0) {
		return chat.Errorf(chat.Invalid, "%s must be a partition", extKafkaPartition)
	}
	e.Sequence = known.SequenceAt(int32(partition), offset)
	if told { // what is done below it, the source does not tell
		e.Origin = &chat.Origin{Partition: int32(partition), From: e.Sequence, To: e.Sequence + 1}
	}
	return nil
}

// Group makes concurrent calls share one call of h: while one batch is being
// handled the next one gathers, so that n waiting events cost one commit. What
// waits for more is bounded: a larger commit would be no cheaper an event, but
// take memory and time during which none is done. Each call returns when its own events are done. When a shared batch fails, each
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

const (
	maxGroup  = 512  // calls that wait, and that share a batch
	fullGroup = 1000 // events, at which a batch waits for no further call
)

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
	for len(calls) < maxGroup && len(events) < fullGroup {
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
	err := g.handle(calls[0].ctx, events)
	for _, c := range calls {
		// What is away is away for each; anything else may be one event's fault.
		if err != nil && len(calls) > 1 && chat.KindOf(err) != chat.Unavailable {
			c.done <- g.handle(c.ctx, c.events)
			continue
		}
		c.done <- err
	}
}

// handle calls h. A caller that gave up must not fail the others, so its context
// does not end the call; nor must a panic, which would leave them waiting.
func (g *Group) handle(ctx context.Context, events []chat.Event) error {
	return guard.Call(ctx, slog.Default(), "the function", func() error {
		return g.h.HandleEvents(context.WithoutCancel(ctx), events)
	})
}
