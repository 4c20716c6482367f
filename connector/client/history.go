package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/view"
)

// Message is a message, the same wherever one is returned.
type Message = view.Message

// Page selects a part of a room's history. With After alone it is the oldest part after
// that, otherwise the newest part before Before.
type Page struct {
	After     chat.Sequence // exclusive
	Before    chat.Sequence // exclusive; 0 means up to now
	Limit     int           // 0 means the server's default; at most 200
	FromStart bool          // use After even if it is 0, the room's beginning
	Around    chat.Sequence // instead of the others: the messages before and after it
}

func (p Page) query() string {
	q := url.Values{}
	if p.Around > 0 {
		q.Set("around", p.Around.String())
	}
	if p.FromStart || p.After > 0 {
		q.Set("after", p.After.String())
	}
	if p.Before > 0 {
		q.Set("before", p.Before.String())
	}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	return "?" + q.Encode()
}

// History is a part of a room's messages.
type History struct {
	Messages []Message     `json:"messages"` // oldest first
	More     bool          `json:"more"`     // there are more in the page's direction
	Sequence chat.Sequence `json:"sequence"` // the messages are as the room's events up to there have it
}

// History reads messages of a room.
func (s *Session) History(ctx context.Context, room chat.RoomID, p Page) (h History, err error) {
	err = s.call(ctx, http.MethodGet, roomPath(room, "/messages")+p.query(), nil, &h)
	return h, err
}

// Messages returns a room's messages, oldest first, and reports whether there are more
// in the page's direction.
func (s *Session) Messages(ctx context.Context, room chat.RoomID, p Page) (messages []Message, more bool, err error) {
	h, err := s.History(ctx, room, p)
	return h.Messages, h.More, err
}

// Message is one message of a room. Errors: NotFound.
func (s *Session) Message(ctx context.Context, room chat.RoomID, sequence chat.Sequence) (m Message, err error) {
	err = s.call(ctx, http.MethodGet, roomPath(room, "/messages/"+sequence.String()), nil, &m)
	return m, err
}

// Pins are the pinned messages of a room, latest pinned first.
func (s *Session) Pins(ctx context.Context, room chat.RoomID) ([]Message, error) {
	var answer struct {
		Pins []Message `json:"pins"`
	}
	err := s.call(ctx, http.MethodGet, roomPath(room, "/pins"), nil, &answer)
	return answer.Pins, err
}

// Events returns a room's events, oldest first.
func (s *Session) Events(ctx context.Context, room chat.RoomID, p Page) ([]chat.Event, error) {
	token, err := s.Token(ctx, "")
	if err != nil {
		return nil, err
	}
	return s.client.events(ctx, token.Value, room, p)
}

func (c *Client) events(ctx context.Context, token string, room chat.RoomID, p Page) ([]chat.Event, error) {
	header := http.Header{"Authorization": {"Bearer " + token}}
	b, err := c.send(ctx, http.MethodGet, roomPath(room, "/events")+p.query(), header, nil)
	if err != nil {
		return nil, err
	}
	events, err := chat.DecodeBatch(b)
	if err != nil {
		return nil, fmt.Errorf("events of %s: %w", room, err)
	}
	return events, nil
}

// Search is a query. Empty fields are ignored.
type Search struct {
	Text   string // with operators such as from:nickname
	Room   chat.RoomID
	From   chat.UserID
	Me     bool     // the messages mention the user, or everyone
	Has    []string // all of these: link, image, file
	Zone   string   // IANA time zone of the dates in Text; "" means UTC
	After  time.Time
	Before time.Time
	Limit  int
	Cursor string // of the previous page
}

// Hit is a message found by a search.
type Hit = view.Hit

// Found is a page of hits, newest first.
type Found struct {
	Hits       []Hit  `json:"hits"`
	Cursor     string `json:"cursor"`     // for the next page, if there may be one
	Suggestion string `json:"suggestion"` // another query that may have been meant, if nothing was found
}

// Search finds messages in the user's rooms, newest first. A non-empty cursor gets the
// next page.
func (s *Session) Search(ctx context.Context, what Search) (hits []Hit, cursor string, err error) {
	found, err := s.Find(ctx, what)
	return found.Hits, found.Cursor, err
}

// Find is [Session.Search] with everything in the answer.
func (s *Session) Find(ctx context.Context, what Search) (found Found, err error) {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("q", what.Text)
	set("room", string(what.Room))
	set("tz", what.Zone)
	if what.Me {
		q.Set("mentions", "me")
	}
	for _, kind := range what.Has {
		q.Add("has", kind)
	}
	set("from", string(what.From))
	set("cursor", what.Cursor)
	if !what.After.IsZero() {
		q.Set("after", what.After.UTC().Format(time.RFC3339Nano))
	}
	if !what.Before.IsZero() {
		q.Set("before", what.Before.UTC().Format(time.RFC3339Nano))
	}
	if what.Limit > 0 {
		q.Set("limit", strconv.Itoa(what.Limit))
	}
	err = s.call(ctx, http.MethodGet, "/v1/search?"+q.Encode(), nil, &found)
	return found, err
}

// Ack has the sequence of an event in the log.
type Ack struct {
	Event    string        `json:"event"`
	Sequence chat.Sequence `json:"sequence"`
}

// Post sends events over HTTP in one request, for programs that need no socket. The
// acks are in the order of the events.
func (s *Session) Post(ctx context.Context, events ...chat.Event) ([]Ack, error) {
	token, err := s.Token(ctx, "")
	if err != nil {
		return nil, err
	}
	header := http.Header{
		"Authorization": {"Bearer " + token.Value},
		"Content-Type":  {"application/cloudevents-batch+json"},
	}
	b, err := s.client.send(ctx, http.MethodPost, "/v1/events", header, bytes.NewReader(chat.AppendBatch(nil, events)))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Acks []Ack `json:"acks"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, fmt.Errorf("acks: %w", err)
	}
	return answer.Acks, nil
}
