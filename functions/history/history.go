// Package history is the function that answers what was said in a room. Its
// answers hold everything that was acknowledged before the request, although
// events reach the store only after a while.
package history

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strconv"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/serve"
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
}

// Function answers /v1/rooms/{room}/messages and /v1/rooms/{room}/events.
type Function struct {
	http.Handler

	events   chat.EventStore
	rooms    chat.RoomStore
	log      chat.Log
	verifier *auth.Verifier
	pages    chan struct{} // held while a page is put together
	rates    rates

	elsewhere bool // the store is a server of its own
}

// New returns the function.
func New(d function.Deps) *Function {
	f := &Function{
		events: d.Events, rooms: d.Rooms, log: d.Log, verifier: d.Verifier, elsewhere: d.Elsewhere,
		pages: make(chan struct{}, runtime.NumCPU()),
	}
	if d.Elsewhere {
		f.pages = make(chan struct{}, pagesElsewhere)
	}
	f.Handler = serve.Routes(map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/rooms/{room}/messages": f.listMessages,
		"GET /v1/rooms/{room}/events":   f.listEvents,
	})
	return f
}

func (f *Function) listMessages(w http.ResponseWriter, r *http.Request) error {
	user, room, selection, err := f.request(r, defaultMessages, maxMessages)
	if err != nil {
		return err
	}
	page, err := f.page(r.Context(), room, selection, f.events.Messages, func(t chat.Type) bool { return t == chat.MessagePosted })
	if err != nil {
		return err
	}
	f.rates.read(user, page.weight())
	nicknames := make(map[chat.UserID]string)
	messages := make([]view.Message, 0, len(page.events))
	for i := range page.events {
		e := &page.events[i]
		sender := e.User()
		nickname, known := nicknames[sender]
		if !known {
			m, err := f.rooms.Membership(r.Context(), room, sender)
			if err != nil && chat.KindOf(err) != chat.NotFound {
				return fmt.Errorf("reading a membership: %w", err)
			}
			nickname = m.Nickname
			nicknames[sender] = nickname
		}
		if m, ok := view.MessageOf(e, nickname); ok {
			messages = append(messages, m)
		}
	}
	serve.JSON(w, http.StatusOK, struct {
		Messages []view.Message `json:"messages"`
		More     bool           `json:"more"`
	}{messages, page.more})
	return nil
}

func (f *Function) listEvents(w http.ResponseWriter, r *http.Request) error {
	user, room, selection, err := f.request(r, defaultEvents, maxEvents)
	if err != nil {
		return err
	}
	page, err := f.page(r.Context(), room, selection, f.events.Events, func(t chat.Type) bool { return !t.Hidden() })
	if err != nil {
		return err
	}
	f.rates.read(user, page.weight())
	w.Header().Set("Content-Type", "application/cloudevents-batch+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set(headerMore, strconv.FormatBool(page.more))
	_, _ = w.Write(chat.AppendBatch(make([]byte, 0, page.weight()), page.events)) // the client is gone: nobody to tell
	return nil
}

// request reads which events of which room are asked for, by somebody who may
// see them, and waits for that user's rate.
//
// Errors: Unauthenticated; NotFound for a room that doesn't exist, or is the
// direct room of others; Forbidden for those who are not in the room now; Invalid
// parameters; Unavailable when the rate takes too long.
func (f *Function) request(r *http.Request, limit, most int) (chat.UserID, chat.RoomID, chat.Range, error) {
	var selection chat.Range
	claims, err := f.verifier.Request(r)
	if err != nil {
		return "", "", selection, err
	}
	room := chat.RoomID(r.PathValue("room"))
	errNoRoom := chat.Errorf(chat.NotFound, "no such room")
	if !room.Valid() {
		return "", "", selection, errNoRoom
	}
	found, err := f.rooms.Room(r.Context(), room)
	if chat.KindOf(err) == chat.NotFound {
		return "", "", selection, errNoRoom
	} else if err != nil {
		return "", "", selection, fmt.Errorf("reading a room: %w", err)
	}
	self, err := f.rooms.Membership(r.Context(), room, claims.User)
	switch {
	case err != nil && chat.KindOf(err) != chat.NotFound:
		return "", "", selection, fmt.Errorf("reading a membership: %w", err)
	case err != nil && found.Kind == chat.Direct:
		return "", "", selection, errNoRoom
	case !self.Active:
		return "", "", selection, chat.Errorf(chat.Forbidden, "you are not in this room")
	}
	selection, err = parse(r.URL.Query(), limit, most)
	if err == nil {
		err = f.rates.wait(r.Context(), claims.User)
	}
	return claims.User, room, selection, err
}

// parse reads the parameters. Without a beginning the newest events are meant,
// with one those that follow it.
func parse(q url.Values, limit, most int) (chat.Range, error) {
	r := chat.Range{Limit: limit, Bytes: maxBytes, Newest: !q.Has("after")}
	var err error
	if q.Has("after") {
		if r.After, err = chat.ParseSequence(q.Get("after")); err != nil {
			return r, chat.Errorf(chat.Invalid, "after: %w", err)
		}
	}
	if q.Has("before") {
		if r.Before, err = chat.ParseSequence(q.Get("before")); err != nil {
			return r, chat.Errorf(chat.Invalid, "before: %w", err)
		}
		if r.Before == 0 { // before everything, and for Range it would mean no bound
			r.Before = 1
		}
	}
	if q.Has("limit") {
		r.Limit, err = strconv.Atoi(q.Get("limit"))
		if err != nil || r.Limit < 1 || r.Limit > most {
			return r, chat.Errorf(chat.Invalid, "limit must be a number from 1 to %d", most)
		}
	}
	return r, nil
}
