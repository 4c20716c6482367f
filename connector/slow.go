package connector

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/edge"
	"knatter.dev/chat/internal/view"
)

// slow knows when users last wrote in rooms with slow mode: by what they send here, by
// what is delivered of rooms whose rules are kept here and, for what was before, by the
// rooms' history.
type slow struct {
	functions edge.Functions

	mu   sync.Mutex
	last map[departure]said
}

// said is a message: when it was sent, its id, under which it may be sent again, and
// when it is of no interest any more.
type said struct {
	at, until time.Time
	id        string
}

// historyPages is in how many pages of a room's history the user's last message is
// looked for. Where others have written more than that since, slow mode is of little use.
const (
	historyPages = 5
	historyPage  = 200
)

// check refuses a message that comes too early after the one before, and takes note of
// one that does not, so that of two at the same moment one is refused. asked: all that
// the user said lately is known. Errors: TooMany, Unavailable.
func (s *slow) check(ctx context.Context, e *chat.Event, by author, interval time.Duration, asked bool) error {
	if err := s.take(e, by.user, interval, !asked); err != nil || asked {
		return err
	}
	last, err := s.ask(ctx, e.Room, by, e.Time.Add(-interval))
	if err != nil {
		return err
	}
	if last != nil {
		s.put(departure{e.Room, by.user}, said{at: last.Time.Time, until: last.Time.Add(interval), id: last.ID})
	}
	return s.take(e, by.user, interval, false)
}

// take refuses a message that comes too early, and takes note of it otherwise; with
// try it only does the first. One that is sent again is not refused.
func (s *slow) take(e *chat.Event, user chat.UserID, interval time.Duration, try bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := departure{e.Room, user}
	last := s.last[key]
	if last.id == e.ID {
		return nil
	}
	if wait := last.at.Add(interval).Sub(e.Time); wait > 0 {
		return &chat.Error{
			Kind: chat.TooMany, Reason: "slow-mode", Detail: fmt.Sprintf("slow mode: one message in %v", interval), After: wait,
		}
	}
	if !try {
		s.set(key, said{at: e.Time, until: e.Time.Add(interval), id: e.ID})
	}
	return nil
}

// note takes note of a message that was delivered.
func (s *slow) note(e *chat.Event) {
	s.put(departure{e.Room, e.User()}, said{at: e.Time, until: e.Time.Add(chat.MaxSlowMode * time.Second), id: e.ID})
}

// put keeps the later of what is known and what is said.
func (s *slow) put(key departure, m said) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.last[key]; !ok || m.at.After(last.at) {
		s.set(key, m)
	}
}

// set is called with s.mu held.
func (s *slow) set(key departure, m said) {
	if s.last == nil {
		s.last = make(map[departure]said)
	}
	s.last[key] = m
}

// release forgets messages that were not logged after all.
func (s *slow) release(user chat.UserID, events ...*chat.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		if key := (departure{e.Room, user}); s.last[key].id == e.ID {
			delete(s.last, key)
		}
	}
}

func (s *slow) sweep() {
	now := chat.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, m := range s.last {
		if now.After(m.until) {
			delete(s.last, key)
		}
	}
}

// ask returns the user's last message in a room that was sent after a time, nil if there
// is none. Errors: Unavailable.
func (s *slow) ask(ctx context.Context, room chat.RoomID, by author, after time.Time) (*view.Message, error) {
	var before chat.Sequence
	for range historyPages {
		messages, err := s.messages(ctx, room, by.token, before)
		if err != nil {
			return nil, err
		}
		for i := len(messages) - 1; i >= 0; i-- {
			m := &messages[i]
			if !m.Time.After(after) {
				return nil, nil
			}
			if m.User == by.user {
				return m, nil
			}
		}
		if len(messages) < historyPage {
			return nil, nil
		}
		before = messages[0].Sequence
	}
	return nil, nil
}

// messages asks the history function for a page of a room's messages, the newest before
// a sequence if that is not 0. Errors: Unavailable.
func (s *slow) messages(ctx context.Context, room chat.RoomID, token string, before chat.Sequence) ([]view.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	query := url.Values{"limit": {fmt.Sprint(historyPage)}}
	if before > 0 {
		query.Set("before", before.String())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://history/v1/rooms/"+string(room)+"/messages?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("history request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := s.functions.Call("history", req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, chat.Errorf(chat.Unavailable, "history answered %d", resp.StatusCode)
	}
	var page struct{ Messages []view.Message }
	body, err := edge.ReadAll(resp)
	if err == nil {
		err = json.Unmarshal(body, &page)
	}
	if err != nil {
		return nil, chat.Errorf(chat.Unavailable, "history: %w", err)
	}
	return page.Messages, nil
}
