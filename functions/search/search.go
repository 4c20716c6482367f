// Package search is the function that finds messages: in Korean by any part of a
// word or any of its forms, in other languages by words, in the rooms that the
// caller is a member of.
package search

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/analysis"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/messages"
	"knatter.dev/chat/internal/projection"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/view"
)

// maxExamined bounds the index's matches that one request looks at. When few of
// them turn out to be hits, the page is short and its cursor goes on.
const maxExamined = 1_000

// Spec declares the function.
var Spec = function.Spec{
	Name:     "search",
	Summary:  "Finds messages in the caller's rooms: /v1/search.",
	Needs:    function.Needs{Log: true, Verifier: true},
	Settings: (*function.Config).ReceiptSettings,
	Requests: func(d function.Deps) http.Handler { return New(d) },
}

// Function answers /v1/search.
//
// The index knows which messages have all the terms of a query; the messages
// themselves are read from the event store, and only those in which the words are
// really together become hits. Index and store follow the log independently, so
// the index may be ahead: what the store doesn't have yet is no hit yet. What the log has
// of a message and the store may not is folded over it: a text that was recalled is given
// to nobody.
type Function struct {
	http.Handler

	index    chat.SearchIndex
	events   projection.Events
	log      chat.Log
	rooms    projection.Rooms
	verifier *auth.Verifier
	reads    serve.Reads
	most     int // active members of rooms that show receipts

	stale  atomic.Bool  // as far as is known
	looked atomic.Int64 // when, in nanoseconds
}

// New returns the function.
func New(d function.Deps) *Function {
	f := &Function{index: d.Index, events: d.Events, log: d.Log, rooms: d.Rooms, verifier: d.Verifier, most: d.Config.ReceiptsMembers}
	if d.Elsewhere {
		f.reads.Elsewhere()
	}
	f.Handler = serve.Routes(map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/search": f.reads.Limited(d.Verifier, cost, f.search),
	})
	return f
}

// cost is what a search takes of its user's reads: more with many words, and with names
// that are looked for in all rooms.
func cost(r *http.Request) int {
	named, text := cutOperators(r.URL.Query().Get("q"))
	return 1 + len(strings.Fields(text))/4 + 2*min(len(named), 4)
}

// answer is a page of hits, newest first.
type answer struct {
	Hits   []view.Hit `json:"hits"`
	Cursor string     `json:"cursor,omitempty"` // of the next page, if there may be one

	// Suggestion is what was perhaps meant, where nothing was found: see suggestion.
	Suggestion string `json:"suggestion,omitempty"`
}

func (f *Function) search(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return err
	}
	p, err := parse(r.URL.Query())
	if err != nil {
		return err
	}
	ctx := r.Context()
	q, ok, err := f.scope(ctx, claims.User, &p)
	if err != nil {
		return err
	}
	a := answer{Hits: []view.Hit{}}
	sought := newSought(&p, claims.User)
	if sought.tails, err = f.log.Tails(ctx); err != nil {
		return fmt.Errorf("reading what is not stored yet: %w", err)
	}
	q.After, q.Before, q.Cursor, q.Limit = p.after, p.before, p.cursor, p.limit
	if q.Words = sought.words(); ok && sought.can(q) {
		if a, err = f.page(ctx, sought, q); err != nil {
			return err
		}
	}
	if ok && len(a.Hits) == 0 && a.Cursor == "" && p.cursor == (chat.Hit{}) {
		if a.Suggestion, err = f.suggestion(ctx, &p, sought, q); err != nil {
			return err
		}
	}
	if f.isStale(ctx) {
		w.Header().Set("Knatter-Complete", "false")
	}
	serve.JSON(w, http.StatusOK, a)
	return nil
}

// lookAgain is after how long to ask the index once more whether it is stale.
const lookAgain = 5 * time.Second

// isStale reports whether the index is being brought up to date, so that messages
// may be missing. If that cannot be told it is as it was.
func (f *Function) isStale(ctx context.Context) bool {
	now, last := time.Now().UnixNano(), f.looked.Load()
	if (last == 0 || now-last > int64(lookAgain) || now < last) && f.looked.CompareAndSwap(last, now) {
		if stale, err := f.index.Stale(ctx, analysis.Version); err == nil {
			f.stale.Store(stale)
		}
	}
	return f.stale.Load()
}

// suggestion is the query as typed with the keyboard's other alphabet, if that is
// made of words or finds something. The operators stay as they are.
func (f *Function) suggestion(ctx context.Context, p *request, s sought, q chat.Query) (string, error) {
	other, known, ok := analysis.OtherKeyboard(p.text)
	if !ok {
		return "", nil
	}
	if !known {
		s.query, s.text = analysis.Parse(other), other
		if q.Words, q.Limit = s.words(), 1; !s.can(q) {
			return "", nil
		}
		a, err := f.page(ctx, s, q)
		if err != nil || len(a.Hits) == 0 {
			return "", err
		}
	}
	return strings.Join(append(p.operators, other), " "), nil
}

// page gathers hits until there are q.Limit or no more. The cursor is the last
// match looked at, whether it became a hit or not.
func (f *Function) page(ctx context.Context, s sought, q chat.Query) (answer, error) {
	a := answer{Hits: []view.Hit{}}
	for examined := 0; ; {
		matches, more, err := f.index.Search(ctx, q)
		if err != nil {
			return a, fmt.Errorf("searching the index: %w", err)
		}
		hits, err := f.read(ctx, s, matches)
		if err != nil {
			return a, err
		}
		for i, h := range hits {
			q.Cursor = matches[i]
			if h == nil {
				continue
			}
			a.Hits = append(a.Hits, *h)
			if len(a.Hits) == q.Limit {
				more = more || i+1 < len(matches)
				break
			}
		}
		examined += len(matches)
		if !more {
			return a, nil
		}
		if len(a.Hits) == q.Limit || examined >= maxExamined {
			a.Cursor = formatCursor(q.Cursor)
			return a, nil
		}
	}
}

// read reads the messages of matches as they are now; those that are no hits are nil.
func (f *Function) read(ctx context.Context, s sought, matches []chat.Hit) ([]*view.Hit, error) {
	var rooms []chat.RoomID
	in := make(map[chat.RoomID][]chat.Sequence)
	at := make(map[place]int)
	for i, m := range matches {
		if in[m.Room] == nil {
			rooms = append(rooms, m.Room)
		}
		in[m.Room] = append(in[m.Room], m.Sequence)
		at[place{m.Room, m.Sequence}] = i
	}
	hits := make([]*view.Hit, len(matches))
	err := f.reads.Each(ctx, len(rooms), func(ctx context.Context, i int) error {
		fresh, err := messages.Fresh(ctx, f.events, s.tails.Of(rooms[i].Stream()))
		if err != nil {
			return err
		}
		look := &messages.Look{Events: f.events, Rooms: f.rooms, Room: rooms[i], User: s.caller, Receipts: f.most, Fresh: fresh}
		posted, err := look.At(ctx, in[rooms[i]])
		if err != nil {
			return err
		}
		list, err := look.Views(ctx, posted)
		if err != nil {
			return err
		}
		for _, m := range list {
			if highlights, ok := s.match(&m); ok && !m.Deleted {
				hits[at[place{rooms[i], m.Sequence}]] = &view.Hit{Room: rooms[i], Message: m, Highlights: highlights}
			}
		}
		return nil
	})
	return hits, err
}

// place is a message's, in its room.
type place struct {
	room     chat.RoomID
	sequence chat.Sequence
}
