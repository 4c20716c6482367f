package connector

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/names"
)

// hub has the streams (rooms, and users' own streams) that this connector follows
// or lately followed.
type hub struct {
	c         *Connector
	seed      maphash.Seed
	shards    [64]hubShard
	following atomic.Pointer[following]
}

// following is one time of following the deliveries without a loss. Only a route
// that is opened within it is delivered from its border on.
type following struct {
	begun chan struct{} // closed when the position in the deliveries is fixed
}

type hubShard struct {
	mu      sync.Mutex
	streams map[chat.StreamID]*stream
}

func newHub(c *Connector) *hub {
	h := &hub{c: c, seed: maphash.MakeSeed()}
	h.following.Store(&following{begun: make(chan struct{})})
	for i := range h.shards {
		h.shards[i].streams = make(map[chat.StreamID]*stream)
	}
	return h
}

func (h *hub) shard(id chat.StreamID) *hubShard {
	return &h.shards[maphash.String(h.seed, string(id))%uint64(len(h.shards))]
}

// stream returns the stream, made if it is new.
func (h *hub) stream(id chat.StreamID) *stream {
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

// all returns every stream.
func (h *hub) all() []*stream {
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

// stream is one room, or one user's own stream, on this connector.
//
// Its route in the log decides what is delivered: after route.opened at sequence
// S everything above S comes, in order and without a gap, until the route is
// closed. The route stays open when the last subscriber leaves; the first
// delivery that nobody wants closes it, so that coming back soon costs nothing.
type stream struct {
	id chat.StreamID

	mu      sync.Mutex
	subs    []*subscription
	last    chat.Sequence // everything up to here was delivered or is history
	open    bool          // the route is open in the log
	opening *opening      // route.opened is being appended
	waiting int           // subscribers that wait for it
	closing bool          // route.closed is being appended
	closed  chat.Sequence // of the last route.closed: what comes up to it was under way
	stale   bool          // unused since the last sweep
	gone    bool          // swept out of the hub: take the stream anew
}

// opening is one append of route.opened that several subscribers may wait for.
type opening struct {
	done chan struct{}
	err  error
}

// subscription is one session's place in a stream.
type subscription struct {
	session  *session
	stream   *stream
	at       int      // in the stream's subs
	replay   bool     // history is still being sent: live frames wait in pending
	pending  [][]byte //
	bytes    int64    // of those
	canceled bool     // ended; a replay that is under way stops
}

// maxPending bounds the live frames that wait for a replay to end; a session's queue
// also bounds their bytes.
const maxPending = 8192

// subscribe adds a subscriber and returns the border: everything up to it is
// history, everything after comes live, into pending until the replay is over.
// Errors: Unavailable when the log is away.
func (h *hub) subscribe(ctx context.Context, id chat.StreamID, sub *subscription) (*stream, chat.Sequence, error) {
	for {
		now := h.following.Load()
		select {
		case <-now.begun:
		case <-ctx.Done():
			return nil, 0, chat.Errorf(chat.Unavailable, "the deliveries are not followed: %w", ctx.Err())
		}
		st := h.stream(id)
		st.mu.Lock()
		if st.gone {
			st.mu.Unlock()
			continue
		}
		st.stale = false
		if st.open {
			border := st.join(sub)
			st.mu.Unlock()
			return st, border, nil
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
			border := st.join(sub)
			st.mu.Unlock()
			return st, border, nil
		}
		st.mu.Unlock()
		if err != nil {
			return nil, 0, err
		}
	}
}

// wait returns when the append has ended, with its error. Errors: also Unavailable when
// ctx ends first.
func (o *opening) wait(ctx context.Context) error {
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "opening the route: %w", ctx.Err())
	}
}

// join adds a subscriber and returns the border. It is called with st.mu held.
func (st *stream) join(sub *subscription) chat.Sequence {
	sub.stream, sub.at = st, len(st.subs)
	st.subs = append(st.subs, sub)
	return st.last
}

// openRoute appends route.opened. It is called with st.mu held, so that it comes
// after a route.closed that was appended under the same lock.
func (h *hub) openRoute(st *stream, o *opening, within *following) {
	e, err := h.c.routeEvent(chat.RouteOpened, st.id)
	if err != nil {
		st.opening, o.err = nil, err
		close(o.done)
		return
	}
	h.c.log.AppendAsync(h.c.ctx, &e, func(err error) {
		st.mu.Lock()
		st.opening, o.err = nil, err
		// When deliveries were lost meanwhile, the subscribers try again.
		if err == nil && h.following.Load() == within {
			st.open, st.last = true, max(st.last, e.Sequence)
		}
		st.mu.Unlock()
		close(o.done)
	})
}

// end removes the subscriber. The stream stays until its route is closed.
func (sub *subscription) end() {
	sub.stream.mu.Lock()
	defer sub.stream.mu.Unlock()
	sub.endLocked()
}

func (sub *subscription) endLocked() {
	if sub.canceled {
		return
	}
	sub.session.pending.Add(-sub.bytes)
	sub.canceled, sub.pending, sub.bytes = true, nil, 0
	subs := sub.stream.subs
	last := len(subs) - 1
	subs[sub.at] = subs[last]
	subs[sub.at].at = sub.at
	subs[last] = nil
	if sub.stream.subs = subs[:last]; last == 0 {
		sub.stream.subs = nil
	}
}

// passed tells whether everything up to a sequence was delivered or is history.
func (st *stream) passed(s chat.Sequence) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.last >= s
}

// deliver hands a delivery to the stream's subscribers. Repeats, which fan-out
// makes after a restart, are dropped by their sequence.
func (h *hub) deliver(d *chat.Delivery) {
	st := h.stream(d.Stream)
	st.mu.Lock()
	defer st.mu.Unlock()
	if d.Type.Signal() {
		h.signal(st, d)
		return
	}
	if len(st.subs) == 0 && st.waiting == 0 {
		if d.Sequence > st.closed {
			h.closeRoute(st)
		}
		return
	}
	if d.Sequence <= st.last {
		return
	}
	st.last = d.Sequence // for who still waits this is history
	if d.Stream.Own() {
		for _, sub := range st.subs {
			sub.session.onOwn(d)
		}
		return
	}
	if d.Type.Hidden() {
		return
	}
	wire := wireFrame(opText, d.Frame)
	for _, sub := range st.subs {
		s := sub.session
		if !sub.replay {
			if !s.out.push(wire) {
				s.close(CloseTooSlow, "too slow")
			}
			continue
		}
		n := int64(len(wire))
		if len(sub.pending) >= maxPending || s.pending.Add(n) > int64(h.c.cfg.QueueBytes) {
			s.close(CloseTooSlow, "too slow")
			continue
		}
		sub.pending = append(sub.pending, wire)
		sub.bytes += n
	}
	if d.Type == chat.MemberLeft || d.Type == chat.MemberRemoved {
		h.c.expel(st, d)
	}
}

// closeRoute appends route.closed for a stream that nobody here follows. It is
// called with st.mu held.
func (h *hub) closeRoute(st *stream) {
	if st.opening != nil || st.closing || st.gone {
		return
	}
	e, err := h.c.routeEvent(chat.RouteClosed, st.id)
	if err != nil {
		return
	}
	st.open, st.closing, st.stale = false, true, false
	h.c.log.AppendAsync(h.c.ctx, &e, func(err error) {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.closing = false
		if err == nil { // otherwise the next delivery tries again
			st.closed = e.Sequence
		}
	})
}

// sweep forgets the streams that were closed and unused since the sweep before,
// and closes the routes of those that nobody followed since then.
func (h *hub) sweep() {
	for i := range h.shards {
		sh := &h.shards[i]
		sh.mu.Lock()
		for id, st := range sh.streams {
			st.mu.Lock()
			switch {
			case len(st.subs) > 0 || st.waiting > 0 || st.opening != nil || st.closing:
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

func (c *Connector) routeEvent(typ chat.Type, id chat.StreamID) (chat.Event, error) {
	e, err := chat.NewStreamEvent(names.NewEvent(), "", typ, id, chat.RouteData{Connector: c.cfg.Ordinal})
	e.Source = c.source
	return e, err
}

// closeRoutes closes every open route when the connector stops, so that fan-out
// has no work for it any more.
func (h *hub) closeRoutes(ctx context.Context) error {
	var events []*chat.Event
	for _, st := range h.all() {
		st.mu.Lock()
		if st.open {
			st.open = false
			if e, err := h.c.routeEvent(chat.RouteClosed, st.id); err == nil {
				events = append(events, &e)
			}
		}
		st.mu.Unlock()
	}
	if len(events) == 0 {
		return nil
	}
	return h.c.log.Append(ctx, events...)
}

// begin is called when the position in the deliveries is fixed.
func (h *hub) begin() { close(h.following.Load().begun) }

// lost is called when deliveries were lost unread: every route starts anew and
// every socket resumes from what its client has.
func (h *hub) lost() {
	h.following.Store(&following{begun: make(chan struct{})})
	for _, st := range h.all() {
		st.mu.Lock()
		st.open = false
		st.mu.Unlock()
	}
	for _, s := range h.c.list() {
		s.close(CloseDraining, "resume")
	}
}
