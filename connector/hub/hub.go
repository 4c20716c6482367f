// Package hub tracks which streams (rooms, and users' own streams) a connector follows.
// It opens and closes their routes in the log, and passes deliveries to their
// subscribers. It knows nothing of sockets.
package hub

import (
	"context"
	"hash/maphash"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/names"
)

// Log is the part of the log that a hub writes. See the connector's Log.
type Log interface {
	Append(ctx context.Context, events ...*chat.Event) error
	AppendAsync(ctx context.Context, e *chat.Event, done func(error))
}

// Hub holds the streams that a connector follows, or has followed lately.
type Hub struct {
	ctx     context.Context
	log     Log
	logger  *slog.Logger
	ordinal int
	source  string

	seed      maphash.Seed
	shards    [64]shard
	following atomic.Pointer[following]
}

// following is one uninterrupted run of the delivery consumer. Routes opened in an
// earlier run must be reopened.
type following struct {
	begun chan struct{} // closed when the position in the deliveries is known
}

type shard struct {
	mu      sync.Mutex
	streams map[chat.StreamID]*stream
}

// SourceOf returns the source of a connector's own frames and of its route events.
func SourceOf(ordinal int) string { return "/connectors/" + strconv.Itoa(ordinal) }

// New returns the hub of the connector with an ordinal. Its appends end with ctx.
func New(ctx context.Context, log Log, ordinal int, logger *slog.Logger) *Hub {
	h := &Hub{ctx: ctx, log: log, logger: logger, ordinal: ordinal, source: SourceOf(ordinal), seed: maphash.MakeSeed()}
	h.following.Store(&following{begun: make(chan struct{})})
	for i := range h.shards {
		h.shards[i].streams = make(map[chat.StreamID]*stream)
	}
	return h
}

func (h *Hub) shard(id chat.StreamID) *shard {
	return &h.shards[maphash.String(h.seed, string(id))%uint64(len(h.shards))]
}

// stream returns the stream, and creates it if it is new.
func (h *Hub) stream(id chat.StreamID) *stream {
	sh := h.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	st := sh.streams[id]
	if st == nil {
		st = &stream{id: id}
		sh.streams[id] = st
	}
	return st
}

// Reached is up to where a stream is known to have events; 0 when it is not known here.
func (h *Hub) Reached(id chat.StreamID) chat.Sequence {
	sh := h.shard(id)
	sh.mu.Lock()
	st := sh.streams[id]
	sh.mu.Unlock()
	if st == nil {
		return 0
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.last
}

// all returns every stream.
func (h *Hub) all() []*stream {
	var all []*stream
	for i := range h.shards {
		sh := &h.shards[i]
		sh.mu.Lock()
		for _, st := range sh.streams {
			all = append(all, st)
		}
		sh.mu.Unlock()
	}
	return all
}

// Begin reports that the position in the deliveries is fixed. Nobody can subscribe
// before.
func (h *Hub) Begin() { close(h.following.Load().begun) }

// Lost reports that deliveries were lost unread. Every route is reopened on its next
// use, and nobody can subscribe until Begin. Current subscribers must subscribe again.
func (h *Hub) Lost() {
	h.following.Store(&following{begun: make(chan struct{})})
	for _, st := range h.all() {
		st.mu.Lock()
		st.open = false
		st.mu.Unlock()
	}
}

// Subscribe subscribes p to a stream and returns the border: events up to it are
// history, events after it are delivered. Errors: Unavailable if the log is
// unavailable.
func (h *Hub) Subscribe(ctx context.Context, id chat.StreamID, p *Place) (border chat.Sequence, err error) {
	for {
		now := h.following.Load()
		select {
		case <-now.begun:
		case <-ctx.Done():
			return 0, chat.Errorf(chat.Unavailable, "not following the deliveries: %w", ctx.Err())
		}
		st := h.stream(id)
		st.mu.Lock()
		if st.gone {
			st.mu.Unlock()
			continue
		}
		st.stale = false
		if st.open {
			border := st.join(p)
			st.mu.Unlock()
			return border, nil
		}
		o := st.opening
		if o == nil {
			o = &opening{done: make(chan struct{})}
			st.opening = o
			h.openRoute(st, o, now)
		}
		st.waiting++
		st.mu.Unlock()
		err := o.wait(ctx)
		st.mu.Lock()
		st.waiting--
		if err == nil && st.open {
			border := st.join(p)
			st.mu.Unlock()
			return border, nil
		}
		st.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
}

// Deliver passes a delivery to the stream's subscribers. Repeats, which fan-out makes
// after a restart, are dropped by their sequence.
func (h *Hub) Deliver(d *chat.Delivery) {
	st := h.stream(d.Stream)
	st.mu.Lock()
	defer st.mu.Unlock()
	if !d.Type.Signal() {
		if len(st.places) == 0 && st.waiting == 0 {
			if d.Sequence > st.closed {
				h.closeRoute(st)
			}
			return
		}
		if d.Sequence <= st.last {
			return
		}
		st.last = d.Sequence // for subscribers that still wait this is history
		if d.Type.Hidden() && !d.Stream.Own() {
			return
		}
	}
	delivery := Delivery{Delivery: d}
	for i := len(st.places) - 1; i >= 0; i-- { // backwards, since a subscriber that leaves is replaced by a later one
		p := st.places[i]
		if (d.Only == "" || d.Only == p.user) && !p.who.Take(&delivery) {
			p.leave()
		}
	}
}

// Sweep forgets the streams that have been closed and unused since the previous sweep,
// and closes the routes of streams without subscribers since then.
func (h *Hub) Sweep() {
	for i := range h.shards {
		sh := &h.shards[i]
		sh.mu.Lock()
		for id, st := range sh.streams {
			st.mu.Lock()
			switch {
			case len(st.places) > 0 || st.waiting > 0 || st.opening != nil || st.closing:
				st.stale = false
			case !st.stale:
				st.stale = true
			case st.open:
				h.closeRoute(st)
			default:
				st.gone = true
				delete(sh.streams, id)
			}
			st.mu.Unlock()
		}
		sh.mu.Unlock()
	}
}

// CloseRoutes closes all open routes when the connector stops, so that fan-out has no
// more work for it. Errors: those of the log.
func (h *Hub) CloseRoutes(ctx context.Context) error {
	var events []*chat.Event
	for _, st := range h.all() {
		st.mu.Lock()
		if st.open {
			st.open = false
			if e, ok := h.routeEvent(chat.RouteClosed, st.id); ok {
				events = append(events, e)
			}
		}
		st.mu.Unlock()
	}
	if len(events) == 0 {
		return nil
	}
	return h.log.Append(ctx, events...)
}

// openRoute appends route.opened. The caller holds st.mu, so that it comes after a
// route.closed appended under the same lock.
func (h *Hub) openRoute(st *stream, o *opening, within *following) {
	e, ok := h.routeEvent(chat.RouteOpened, st.id)
	if !ok {
		st.opening, o.err = nil, chat.Errorf(chat.Internal, "opening the route failed")
		close(o.done)
		return
	}
	h.log.AppendAsync(h.ctx, e, func(err error) {
		st.mu.Lock()
		st.opening, o.err = nil, err
		// If deliveries were lost meanwhile, the subscribers retry.
		if err == nil && h.following.Load() == within {
			st.open, st.last = true, max(st.last, e.Sequence)
		}
		st.mu.Unlock()
		close(o.done)
	})
}

// closeRoute appends route.closed for a stream without subscribers. The caller holds
// st.mu.
func (h *Hub) closeRoute(st *stream) {
	if st.opening != nil || st.closing || st.gone {
		return
	}
	e, ok := h.routeEvent(chat.RouteClosed, st.id)
	if !ok {
		return
	}
	st.open, st.closing, st.stale = false, true, false
	h.log.AppendAsync(h.ctx, e, func(err error) {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.closing = false
		if err == nil { // otherwise the next delivery retries
			st.closed = e.Sequence
		}
	})
}

func (h *Hub) routeEvent(typ chat.Type, id chat.StreamID) (*chat.Event, bool) {
	e, err := chat.NewStreamEvent(names.NewEvent(), "", typ, id, chat.RouteData{Connector: h.ordinal})
	if err != nil {
		h.logger.Error("appending a route event", "error", err)
		return nil, false
	}
	e.Source = h.source
	return &e, true
}
