package connector

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/edge"
	"knatter.dev/chat/connector/socket"
)

const (
	maxReplay     = 1000             // missed events that are sent; what is beyond the client pages
	replayTimeout = 30 * time.Second // for one page of them

	// Pages of missed events, of at most a mebibyte each, that are being read or wait
	// in queues: of one user, of one user when there are many, and of all.
	userPages    = 3
	manyPages    = 48
	crowdedPages = 1
	allPages     = 96
)

// pages bounds the memory of replays. A page counts until the peer has taken it, so
// peers that take little wait for each other; those of other users don't wait for them.
type pages struct {
	mu      sync.Mutex
	held    int
	users   map[chat.UserID]int
	changed chan struct{} // closed when one is given back
}

func newPages() *pages {
	return &pages{users: make(map[chat.UserID]int), changed: make(chan struct{})}
}

// take waits until the user may hold one more page; false when done is closed first.
func (p *pages) take(user chat.UserID, done <-chan struct{}) bool {
	for {
		p.mu.Lock()
		most := userPages
		if p.held >= manyPages {
			most = crowdedPages
		}
		if p.held < allPages && p.users[user] < most {
			p.held++
			p.users[user]++
			p.mu.Unlock()
			return true
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-done:
			return false
		}
	}
}

func (p *pages) give(user chat.UserID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held--
	if p.users[user]--; p.users[user] == 0 {
		delete(p.users, user)
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// missing is what of a room a session has not seen yet.
type missing struct {
	room        chat.RoomID
	user        chat.UserID
	after, upTo chat.Sequence // after the one, up to the other
}

// replay sends what is missing from history, which is complete up to every
// acknowledged event, a page at a time: the next is read when the peer has taken the
// one before. It reports whether that was all.
func (f *subscriptions) replay(m missing) (complete bool, err error) {
	for left := maxReplay; left > 0; {
		n, more, err := f.replayPage(&m, left)
		if err != nil || !more {
			return err == nil, err
		}
		left -= n
	}
	return false, nil
}

// replayPage sends one page, at most limit events, and moves m behind it. more is false
// also when the session has ended.
func (f *subscriptions) replayPage(m *missing, limit int) (n int, more bool, err error) {
	if !f.s.c.pages.take(m.user, f.s.done) {
		return 0, false, nil
	}
	defer f.s.c.pages.give(m.user)
	frames, more, err := f.readMissed(m, limit)
	if err != nil || len(frames) == 0 {
		return 0, false, err
	}
	last, err := chat.DecodeFrame(frames[len(frames)-1])
	if err != nil {
		return 0, false, chat.Errorf(chat.Unavailable, "history: %w", err)
	}
	m.after = last.Sequence
	n = len(frames)
	for _, frame := range frames {
		if !f.s.out.PushWait(socket.Frame(socket.Text, frame), f.s.done) {
			return n, false, nil
		}
	}
	return n, f.s.out.Drained(f.s.done) && more, nil
}

// readMissed asks history for a page, which bounds how many it makes at once and how much
// of them for one user.
func (f *subscriptions) readMissed(m *missing, limit int) (frames [][]byte, more bool, err error) {
	ctx, cancel := context.WithTimeout(f.s.c.ctx, replayTimeout)
	defer cancel()
	f.s.mu.Lock()
	token := f.s.token // it may have been renewed since the page before
	f.s.mu.Unlock()
	return missed(ctx, f.s.c.functions, m, token, limit)
}

// missed asks the history function for a room's events.
func missed(ctx context.Context, functions edge.Functions, m *missing, token string, limit int) (frames [][]byte, more bool, err error) {
	query := url.Values{
		"after":  {m.after.String()},
		"before": {(m.upTo + 1).String()},
		"limit":  {strconv.Itoa(limit)},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://history/v1/rooms/"+string(m.room)+"/events?"+query.Encode(), nil)
	if err != nil {
		return nil, false, fmt.Errorf("history request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := functions.Call("history", req)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, false, chat.Errorf(chat.Unavailable, "history answered %d", resp.StatusCode)
	}
	body, err := edge.ReadAll(resp)
	if err == nil {
		frames, err = chat.SplitBatch(body)
	}
	if err != nil {
		return nil, false, chat.Errorf(chat.Unavailable, "history: %w", err)
	}
	return frames, resp.Header.Get("Knatter-More") == "true", nil
}
