package hub

import (
	"context"
	"sync"

	"knatter.dev/chat"
)

// stream is one room, or one user's own stream, on this connector.
//
// Its route in the log decides what is delivered: after route.opened at sequence
// S everything above S comes, in order and without a gap, until the route is
// closed. The route stays open when the last subscriber leaves; the first
// delivery that nobody wants closes it, so that coming back soon costs nothing.
type stream struct {
	id chat.StreamID

	mu      sync.Mutex
	places  []*Place
	last    chat.Sequence // everything up to here was delivered or is history
	open    bool          // the route is open in the log
	opening *opening      // route.opened is being appended
	waiting int           // subscribers that wait for opening
	closing bool          // route.closed is being appended
	closed  chat.Sequence // sequence of the last route.closed; deliveries up to it were in transit
	stale   bool          // unused since the last sweep
	gone    bool          // removed from the hub; look the stream up again
}

// join adds a subscriber and returns the border. The caller holds st.mu.
func (st *stream) join(p *Place) chat.Sequence {
	p.stream, p.at = st, len(st.places)
	st.places = append(st.places, p)
	return st.last
}

// opening is one append of route.opened that several subscribers may wait for.
type opening struct {
	done chan struct{}
	err  error
}

// wait returns the result of the append when it has ended. Errors: also Unavailable if
// ctx ends first.
func (o *opening) wait(ctx context.Context) error {
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "opening the route: %w", ctx.Err())
	}
}

// Subscriber receives what is delivered to a stream. Its methods are called with the
// stream locked, so they must neither block nor call its Place.
type Subscriber interface {
	// Take receives a delivery. Events come in the stream's order, with signals in
	// between. It reports whether the subscriber wants more.
	Take(d *Delivery) (more bool)

	// Left is called when nothing more will come.
	Left()
}

// Delivery is a delivery with what its subscribers share.
type Delivery struct {
	*chat.Delivery

	// Finished is what the first subscriber has made of the frame, for all of them.
	Finished []byte

	event    chat.Event
	err      error
	read     bool
	departed chat.UserID // cached; see Departed
	looked   bool
}

// Event returns the event in the frame. Errors: as [chat.DecodeFrame].
func (d *Delivery) Event() (*chat.Event, error) {
	if !d.read {
		d.event, d.err = chat.DecodeFrame(d.Frame)
		d.read = true
	}
	return &d.event, d.err
}

// Departed returns the user who left the room, or was removed from it, by this event,
// or "" for any other event. Errors: those of the event's data.
func (d *Delivery) Departed() (chat.UserID, error) {
	if d.looked || d.Type != chat.MemberLeft && d.Type != chat.MemberRemoved {
		return d.departed, nil
	}
	d.looked = true
	e, err := d.Event()
	if err != nil {
		return "", err
	}
	var data chat.MemberData
	if err := e.Decode(&data); err != nil {
		return "", err
	}
	d.departed = data.User
	return d.departed, nil
}

// Place is a subscriber's membership in a stream.
type Place struct {
	who    Subscriber
	user   chat.UserID
	stream *stream
	at     int // index in the stream's places
	left   bool
}

// PlaceOf returns a place for a user's subscriber, which [Hub.Subscribe] takes.
func PlaceOf(who Subscriber, user chat.UserID) Place { return Place{who: who, user: user} }

// Stream is the stream's id.
func (p *Place) Stream() chat.StreamID { return p.stream.id }

// Do calls f while nothing is delivered: last is up to where everything was, or is
// history.
func (p *Place) Do(f func(last chat.Sequence)) {
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	f(p.stream.last)
}

// Passed reports whether everything up to a sequence was delivered or is history.
func (p *Place) Passed(s chat.Sequence) (passed bool) {
	p.Do(func(last chat.Sequence) { passed = last >= s })
	return passed
}

// Leave ends the subscription. The stream remains until its route is closed.
func (p *Place) Leave() {
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	p.leave()
}

// leave is Leave for a caller that holds the stream's lock.
func (p *Place) leave() {
	if p.left {
		return
	}
	p.left = true
	places := p.stream.places
	last := len(places) - 1
	places[p.at] = places[last]
	places[p.at].at = p.at
	places[last] = nil
	if p.stream.places = places[:last]; last == 0 {
		p.stream.places = nil
	}
	p.who.Left()
}
