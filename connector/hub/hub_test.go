package hub

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"knatter.dev/chat"
)

// slowLog acknowledges when it is told to.
type slowLog struct {
	next  chat.Sequence
	acks  chan func()
	types []chat.Type
}

func (l *slowLog) AppendAsync(_ context.Context, e *chat.Event, done func(error)) {
	l.next++
	sequence := l.next
	l.types = append(l.types, e.Type)
	l.acks <- func() {
		e.Sequence = sequence
		done(nil)
	}
}

func (l *slowLog) Append(_ context.Context, events ...*chat.Event) error {
	for _, e := range events {
		l.types = append(l.types, e.Type)
	}
	return nil
}

// listener is a subscriber that wants a number of deliveries.
type listener struct {
	Place
	wants int
	got   []chat.Sequence
	left  int
}

func listen(wants int) *listener {
	l := &listener{wants: wants}
	l.Place = PlaceOf(l, "")
	return l
}

func listenAs(user chat.UserID) *listener {
	l := listen(10)
	l.Place = PlaceOf(l, user)
	return l
}

func (l *listener) Take(d *Delivery) bool {
	l.got = append(l.got, d.Sequence)
	return len(l.got) < l.wants
}

func (l *listener) Left() { l.left++ }

func newHub(t *testing.T) (*Hub, *slowLog) {
	log := &slowLog{acks: make(chan func(), 10)}
	h := New(t.Context(), log, 0, slog.New(slog.DiscardHandler))
	h.Begin()
	return h, log
}

// subscribes subscribes; the log acknowledges what it takes meanwhile.
func subscribes(t *testing.T, h *Hub, log *slowLog, l *listener) (border chat.Sequence) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		if border, err = h.Subscribe(t.Context(), "r", &l.Place); err != nil {
			t.Error(err)
		}
	}()
	for {
		select {
		case ack := <-log.acks:
			ack()
		case <-done:
			return border
		}
	}
}

func posted(s chat.Sequence) *chat.Delivery {
	return &chat.Delivery{Stream: "r", Sequence: s, Type: chat.MessagePosted}
}

// A delivery can overtake the ack of the route.opened that asked for it: whoever waits
// for the ack has that event before the border, and so in the history.
func TestDeliveryBeforeItsRouteIsKnownToBeOpen(t *testing.T) {
	h, log := newHub(t)
	borders := make(chan chat.Sequence, 1)
	go func() {
		l := listen(1)
		border, err := h.Subscribe(t.Context(), "r", &l.Place)
		if err != nil {
			t.Error(err)
		}
		borders <- border
	}()
	ack := <-log.acks
	st := h.stream("r")
	for waits := false; !waits; {
		st.mu.Lock()
		waits = st.waiting > 0
		st.mu.Unlock()
	}
	h.Deliver(posted(2))
	ack()
	if border := <-borders; border != 2 {
		t.Errorf("the border is %d, and event 2 was delivered before", border)
	}
	if len(log.types) != 1 {
		t.Errorf("logged %v, want one route.opened", log.types)
	}
}

// Whoever has enough leaves without anybody else missing or getting anything twice.
func TestSubscribersLeaveWhileOthersStay(t *testing.T) {
	h, log := newHub(t)
	const last = 8
	var all []*listener
	for i := range last {
		l := listen(i + 1)
		if border := subscribes(t, h, log, l); border != 1 {
			t.Fatalf("the border is %d", border)
		}
		all = append(all, l)
	}
	gone := listen(last)
	subscribes(t, h, log, gone)
	gone.Leave()
	gone.Leave()
	for s := range chat.Sequence(last + 1) {
		h.Deliver(posted(2 + s))
		h.Deliver(posted(2 + s)) // a repeat
	}
	for i, l := range all {
		want := make([]chat.Sequence, 0, last)
		for s := range i + 1 {
			want = append(want, chat.Sequence(2+s))
		}
		if !slices.Equal(l.got, want) || l.left != 1 {
			t.Errorf("subscriber %d got %v and left %d times, want %v", i, l.got, l.left, want)
		}
	}
	if len(gone.got) != 0 || gone.left != 1 {
		t.Errorf("who left got %v, left %d times", gone.got, gone.left)
	}
	if want := []chat.Type{chat.RouteOpened, chat.RouteClosed}; !slices.Equal(log.types, want) {
		t.Errorf("logged %v: nobody is left for the last event", log.types)
	}
}

// What nobody followed from one sweep to the next is closed, then forgotten.
// What is for one user's sessions alone, the others do not get; it is passed all the same.
func TestDeliveryForOneUser(t *testing.T) {
	h, log := newHub(t)
	phone, laptop, bob := listenAs("alice"), listenAs("alice"), listenAs("bob")
	border := subscribes(t, h, log, phone)
	for _, l := range []*listener{laptop, bob} {
		if _, err := h.Subscribe(t.Context(), "r", &l.Place); err != nil {
			t.Fatal(err)
		}
	}
	own := posted(border + 1)
	own.Only = "alice"
	h.Deliver(own)
	h.Deliver(posted(border + 2))
	for l, want := range map[*listener]int{phone: 2, laptop: 2, bob: 1} {
		if len(l.got) != want {
			t.Errorf("%v, want %d", l.got, want)
		}
	}
	if !bob.Passed(border + 1) {
		t.Error("not passed")
	}
}

func TestSweep(t *testing.T) {
	h, log := newHub(t)
	l := listen(10)
	subscribes(t, h, log, l)
	h.Sweep()
	h.Sweep()
	if fmt.Sprint(log.types) != fmt.Sprint([]chat.Type{chat.RouteOpened}) {
		t.Errorf("logged %v though somebody is there", log.types)
	}
	l.Leave()
	for range 2 {
		h.Sweep()
	}
	(<-log.acks)()
	if log.types[len(log.types)-1] != chat.RouteClosed {
		t.Errorf("logged %v", log.types)
	}
	for range 2 {
		h.Sweep()
	}
	if n := len(h.all()); n != 0 {
		t.Errorf("%d streams are left", n)
	}
	if border := subscribes(t, h, log, listen(1)); border != 3 {
		t.Errorf("the border is %d", border)
	}
}

// After a loss nobody can subscribe until the deliveries are followed again, and routes
// start anew.
func TestLost(t *testing.T) {
	h, log := newHub(t)
	subscribes(t, h, log, listen(10))
	h.Lost()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Subscribe(ctx, "r", &listen(1).Place); chat.KindOf(err) != chat.Unavailable || err == nil {
		t.Errorf("got %v", err)
	}
	h.Begin()
	if border := subscribes(t, h, log, listen(1)); border != 2 {
		t.Errorf("the border is %d, not of a new route", border)
	}
}

func TestCloseRoutes(t *testing.T) {
	h, log := newHub(t)
	subscribes(t, h, log, listen(10))
	for range 2 {
		if err := h.CloseRoutes(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if want := []chat.Type{chat.RouteOpened, chat.RouteClosed}; !slices.Equal(log.types, want) {
		t.Errorf("logged %v", log.types)
	}
}

// Who departs is told of departures alone, from the frame, and the same to each subscriber.
func TestDeparted(t *testing.T) {
	for typ, want := range map[chat.Type]chat.UserID{chat.MemberLeft: "bob", chat.MemberRemoved: "bob", chat.MemberJoined: ""} {
		e, err := chat.NewEvent("1", "alice", typ, "r", chat.MemberData{User: "bob", Nickname: "bob", Role: chat.Plain})
		if err != nil {
			t.Fatal(err)
		}
		d := &Delivery{Delivery: &chat.Delivery{Stream: "r", Type: typ, Frame: e.AppendFrame(nil)}}
		for range 2 {
			if got, err := d.Departed(); got != want || err != nil {
				t.Errorf("%s: %q departs, %v, want %q", typ, got, err, want)
			}
		}
	}
	broken := &Delivery{Delivery: &chat.Delivery{Stream: "r", Type: chat.MemberLeft, Frame: []byte("{")}}
	if _, err := broken.Departed(); err == nil {
		t.Error("a frame that cannot be read says nothing")
	}
}
