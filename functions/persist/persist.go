// Package persist is the function that keeps the rooms' events: it follows the log
// and projects it into the event store and the room store.
package persist

import (
	"context"
	"net/http"
	"sync/atomic"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

// Function persists events. It is stateless: what it does twice is stored once.
type Function struct {
	events chat.EventStore
	rooms  chat.RoomStore

	handler http.Handler // over a group, so that concurrent requests share a commit
	ready   atomic.Bool  // the fields above are set
	close   func() error
}

var _ chat.Handler = (*Function)(nil)

// New returns a function that has yet to be started.
func New() *Function { return &Function{} }

// With returns a function over stores that are open already.
func With(events chat.EventStore, rooms chat.RoomStore) *Function {
	f := New()
	f.use(events, rooms, 0)
	return f
}

func (f *Function) use(events chat.EventStore, rooms chat.RoomStore, generation int) {
	f.events, f.rooms = events, rooms
	f.handler = serve.Events(serve.NewGroup(f), generation)
	f.ready.Store(true)
}

// Handle handles one event or batch that comes by HTTP.
func (f *Function) Handle(w http.ResponseWriter, r *http.Request) {
	if !f.ready.Load() {
		serve.Fail(w, r, chat.Errorf(chat.Unavailable, "not started yet"))
		return
	}
	f.handler.ServeHTTP(w, r)
}

// HandleEvents implements [chat.Handler]. The two projections are written one
// after the other; what a failure leaves half done the retry completes, as each
// is idempotent. Errors: the stores'.
func (f *Function) HandleEvents(ctx context.Context, events []chat.Event) error {
	if err := f.events.Put(ctx, events); err != nil {
		return err
	}
	var changes []chat.Event
	for _, e := range events {
		if e.Type != chat.MessagePosted {
			changes = append(changes, e)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return f.rooms.Apply(ctx, changes)
}
