// Package history is the function that answers what was said in a room. Its
// answers hold everything that was acknowledged before the request, although
// events reach the store only after a while.
package history

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strconv"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/messages"
	"knatter.dev/chat/internal/projection"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/setting"
	"knatter.dev/chat/internal/view"
)

// Sizes of a page.
const (
	defaultMessages, maxMessages = 50, 200
	defaultEvents, maxEvents     = 200, 1000
	maxBytes                     = 1 << 20
)

// pagesElsewhere is how many pages are being put together at once where the store is a
// server of its own, each of which takes some megabytes if it is large; others wait. Where
// it is in this process, a page takes some milliseconds of a processor, and there are as
// many at once as there are processors: more would keep each other from being done.
const pagesElsewhere = 4

// headerMore says whether there is more in the direction of the request: a batch
// of CloudEvents has no place for it.
const headerMore = "Knatter-More"

// Spec declares the function.
var Spec = function.Spec{
	Name:     "history",
	Summary:  "Serves messages and events: /v1/rooms/{room}/messages and /events.",
	Needs:    function.Needs{Log: true, Verifier: true},
	Requests: func(d function.Deps) http.Handler { return New(d) },
	Settings: func(c *function.Config) []setting.Setting { return append(c.WindowSettings(), c.ReceiptSettings()...) },
}

// Function answers /v1/rooms/{room}/messages and /v1/rooms/{room}/events.
type Function struct {
	http.Handler

	events   projection.Events
	rooms    projection.Rooms
	log      chat.Log
	verifier *auth.Verifier
	pages    chan struct{} // held while a page is put together
	rates    rates
	most     int // active members of rooms in which read marks are shown to others

	elsewhere bool // the store is a server of its own

	windows messages.Windows
}

// New returns the function.
func New(d function.Deps) *Function {
	f := &Function{
		events: d.Events, rooms: d.Rooms, log: d.Log, verifier: d.Verifier, elsewhere: d.Elsewhere,
		pages:   make(chan struct{}, runtime.NumCPU()),
		windows: d.Config.Windows,
		most:    d.Config.ReceiptsMembers,
	}
	if d.Elsewhere {
		f.pages = make(chan struct{}, pagesElsewhere)
	}
	f.Handler = serve.Routes(map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/rooms/{room}/messages":            f.listMessages,
		"GET /v1/rooms/{room}/messages/{sequence}": f.showMessage,
		"GET /v1/rooms/{room}/events":              f.listEvents,
		"POST /internal/check":                     f.check,
	})
	return f
}

func (f *Function) listMessages(w http.ResponseWriter, r *http.Request) error {
	look, err := f.look(r)
	if err != nil {
		return err
	}
	ranges, err := parse(r.URL.Query(), defaultMessages, maxMessages)
	if err != nil {
		return err
	}
	var all page
	var list []view.Message
	err = f.turn(r.Context(), func() error {
		all, err = f.assemble(r.Context(), look, ranges, f.events.Messages, func(t chat.Type) bool { return t == chat.MessagePosted })
		if err != nil {
			return err
		}
		list, err = look.Views(r.Context(), all.events)
		return err
	})
	if err != nil {
		return err
	}
	f.rates.read(look.User, all.weight())
	serve.JSON(w, http.StatusOK, struct {
		Messages []view.Message `json:"messages"`
		More     bool           `json:"more"`
		Sequence chat.Sequence  `json:"sequence"` // what the messages are at
	}{list, all.more, all.upTo})
	return nil
}

// showMessage answers with one message.
func (f *Function) showMessage(w http.ResponseWriter, r *http.Request) error {
	look, err := f.look(r)
	if err != nil {
		return err
	}
	errNone := chat.Errorf(chat.NotFound, "no such message")
	sequence, err := chat.ParseSequence(r.PathValue("sequence"))
	if err != nil {
		return errNone
	}
	var list []view.Message
	err = f.turn(r.Context(), func() error {
		tail, err := f.log.Tail(r.Context(), look.Room.Stream())
		if err != nil {
			return err
		}
		if look.Fresh, err = messages.Fresh(r.Context(), f.events, tail); err != nil {
			return err
		}
		posted, err := look.At(r.Context(), []chat.Sequence{sequence})
		if err != nil {
			return err
		}
		list, err = look.Views(r.Context(), posted)
		return err
	})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errNone
	}
	f.rates.read(look.User, attributes+len(list[0].Text))
	serve.JSON(w, http.StatusOK, list[0])
	return nil
}

func (f *Function) listEvents(w http.ResponseWriter, r *http.Request) error {
	look, err := f.look(r)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	query.Del("around")
	ranges, err := parse(query, defaultEvents, maxEvents)
	if err != nil {
		return err
	}
	p, err := f.shown(r.Context(), look, ranges[0])
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/cloudevents-batch+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set(headerMore, strconv.FormatBool(p.more))
	_, _ = w.Write(chat.AppendBatch(make([]byte, 0, p.weight()), p.events)) // the client is gone: nobody to tell
	return nil
}

// look is a look at the room of a request, by somebody who may see it, when that user's
// rate allows.
//
// Errors: Unauthenticated; NotFound for a room that doesn't exist, or is the
// direct room of others; Forbidden for those who are not in the room now; Unavailable
// when the rate takes too long.
func (f *Function) look(r *http.Request) (*messages.Look, error) {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return nil, err
	}
	room := chat.RoomID(r.PathValue("room"))
	if !room.Valid() {
		return nil, errNoRoom
	}
	found, self, err := f.standing(r.Context(), room, claims.User)
	switch {
	case err != nil:
		return nil, err
	case self.User == "" && found.Kind == chat.Direct:
		return nil, errNoRoom
	case !self.Active:
		return nil, chat.Errorf(chat.Forbidden, "you are not in this room")
	}
	if err := f.rates.wait(r.Context(), claims.User); err != nil {
		return nil, err
	}
	return &messages.Look{Events: f.events, Rooms: f.rooms, Room: room, User: claims.User, Receipts: f.most}, nil
}

var errNoRoom = chat.Errorf(chat.NotFound, "no such room")

// standing is a room and what a user is in it; the zero membership if nothing. Errors:
// NotFound without a room, the store's own.
func (f *Function) standing(ctx context.Context, room chat.RoomID, user chat.UserID) (chat.Room, chat.Membership, error) {
	found, err := f.rooms.Room(ctx, room)
	if chat.KindOf(err) == chat.NotFound {
		return found, chat.Membership{}, errNoRoom
	}
	if err != nil {
		return found, chat.Membership{}, fmt.Errorf("reading a room: %w", err)
	}
	self, err := f.rooms.Membership(ctx, room, user)
	if chat.KindOf(err) == chat.NotFound {
		return found, chat.Membership{}, nil
	}
	if err != nil {
		return found, self, fmt.Errorf("reading a membership: %w", err)
	}
	return found, self, nil
}

// parse reads the parameters. Without a beginning the newest events are meant, with one
// those that follow it. Those around one are two ranges: what is before it, and the rest.
func parse(q url.Values, limit, most int) ([]chat.Range, error) {
	r := chat.Range{Limit: limit, Bytes: maxBytes, Newest: !q.Has("after")}
	if q.Has("limit") {
		var err error
		r.Limit, err = strconv.Atoi(q.Get("limit"))
		if err != nil || r.Limit < 1 || r.Limit > most {
			return nil, chat.Errorf(chat.Invalid, "limit must be a number from 1 to %d", most)
		}
	}
	bounds := make(map[string]chat.Sequence)
	for _, name := range []string{"after", "before", "around"} {
		if !q.Has(name) {
			continue
		}
		at, err := chat.ParseSequence(q.Get(name))
		if err != nil {
			return nil, chat.Errorf(chat.Invalid, "%s: %w", name, err)
		}
		bounds[name] = at
	}
	if around, ok := bounds["around"]; ok {
		if len(bounds) > 1 {
			return nil, chat.Errorf(chat.Invalid, "around goes with neither after nor before")
		}
		older := chat.Range{Limit: r.Limit / 2, Bytes: maxBytes / 2, Newest: true, Before: max(around, 1)}
		rest := chat.Range{Limit: r.Limit - older.Limit, Bytes: maxBytes / 2, After: max(around, 1) - 1}
		if older.Limit == 0 {
			return []chat.Range{rest}, nil
		}
		return []chat.Range{older, rest}, nil
	}
	r.After = bounds["after"]
	if before, ok := bounds["before"]; ok {
		r.Before = max(before, 1) // before everything, and 0 would mean no bound
	}
	return []chat.Range{r}, nil
}
