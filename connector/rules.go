package connector

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/hub"
	"knatter.dev/chat/internal/projection"
)

// author is who sends an event.
type author struct {
	user   chat.UserID
	token  string // by which functions are asked for the user
	member bool   // is known to be in the room
}

// rules are what rooms' settings forbid their members. Of the rooms in which somebody who
// follows them here has lately written, they are kept, and follow the rooms themselves:
// a message costs no look at the store. What an event changes is read anew, at the next
// message.
type rules struct {
	hub    *hub.Hub
	log    Log
	store  projection.Rooms
	slow   slow
	logger *slog.Logger

	mu    sync.RWMutex
	rooms map[chat.RoomID]*roomRules
}

// roomRules are the rules of a room, and what those who write there are in it.
type roomRules struct {
	hub.Place
	rules *rules
	id    chat.RoomID
	begin sync.Once
	err   error       // why it could not begin
	used  atomic.Bool // since the last sweep

	mu      sync.Mutex
	follows bool // the room is followed
	dropped bool // it is to be no longer
	changes int  // how often something was forgotten: what was read before is out of date
	known   bool // room is
	room    chat.Room
	writers map[chat.UserID]*writer
}

var _ hub.Subscriber = (*roomRules)(nil)

type writer struct {
	known  bool // is
	is     chat.Membership
	behind bool // an event changed it, which the store may not know yet
	asked  bool // all that the user said here lately is known: see slow
}

// restriction says which rules there are for events of a type: of who may post, and of
// who is muted.
func restriction(t chat.Type) (posting, muting bool) {
	switch t {
	case chat.MessagePosted, chat.MessageEdited, chat.TypingStarted:
		return true, true
	case chat.ReactionAdded, chat.ReactionRemoved:
		return false, true
	}
	return false, false
}

// check refuses what a room's settings, or a mute, do not let its author send. A message
// in slow mode counts from then on: see [slow.take]. Errors: Forbidden, TooMany,
// Unavailable.
func (r *rules) check(ctx context.Context, e *chat.Event, by author) error {
	posting, muting := restriction(e.Type)
	if !posting && !muting {
		return nil
	}
	kept, err := r.of(ctx, e.Room, by.member)
	if err != nil {
		return err
	}
	var room chat.Room
	var m chat.Membership
	var asked bool
	if kept != nil {
		room, m, asked, err = kept.now(ctx, by.user)
	} else {
		room, m, err = r.read(ctx, e.Room, by.user, false)
	}
	if err != nil {
		return err
	}
	switch plain := m.Role != chat.Owner && m.Role != chat.Moderator; {
	case muting && m.Muted(e.Time):
		return &chat.Error{Kind: chat.Forbidden, Reason: "muted", Detail: "muted in this room"}
	case posting && plain && room.Posting == chat.PostModerators:
		return &chat.Error{Kind: chat.Forbidden, Reason: "posting", Detail: "only owners and moderators may write in this room"}
	case e.Type != chat.MessagePosted || !plain || room.SlowMode == 0:
		return nil
	}
	if err := r.slow.check(ctx, e, by, room.SlowMode, asked); err != nil || kept == nil {
		return err
	}
	kept.ask(by.user)
	return nil
}

// of is what is kept of a room's rules; nil if nothing is, and nobody who follows the
// room here wants to write. Errors: Unavailable.
func (r *rules) of(ctx context.Context, room chat.RoomID, follows bool) (*roomRules, error) {
	r.mu.RLock()
	kept := r.rooms[room]
	r.mu.RUnlock()
	if kept == nil && !follows {
		return nil, nil
	}
	if kept == nil {
		r.mu.Lock()
		if kept = r.rooms[room]; kept == nil {
			kept = &roomRules{rules: r, id: room, writers: make(map[chat.UserID]*writer)}
			kept.Place = hub.PlaceOf(kept, "")
			r.rooms[room] = kept
		}
		r.mu.Unlock()
	}
	kept.used.Store(true)
	kept.begin.Do(func() {
		if kept.err = kept.follow(ctx); kept.err != nil {
			r.mu.Lock()
			if r.rooms[room] == kept {
				delete(r.rooms, room)
			}
			r.mu.Unlock()
		}
	})
	return kept, kept.err
}

// follow follows the room, unless it is dropped meanwhile. Errors: Unavailable.
func (k *roomRules) follow(ctx context.Context) error {
	if _, err := k.rules.hub.Subscribe(ctx, k.id.Stream(), &k.Place); err != nil {
		return err
	}
	k.mu.Lock()
	k.follows = true
	dropped := k.dropped
	k.mu.Unlock()
	if dropped {
		k.Leave()
		return chat.Errorf(chat.Unavailable, "what the room's rules are is read anew")
	}
	return nil
}

// read reads a room and a user's membership in it. behind: the log may have what the
// store does not know yet.
func (r *rules) read(ctx context.Context, room chat.RoomID, user chat.UserID, behind bool) (chat.Room, chat.Membership, error) {
	store := r.store
	if behind {
		tail, err := r.log.Tail(ctx, room.Stream())
		if err != nil {
			return chat.Room{}, chat.Membership{}, err
		}
		store.States = projection.Over(store.States, func(chat.StreamID) []chat.Event { return tail })
	}
	is, err := store.Room(ctx, room)
	if err != nil && chat.KindOf(err) != chat.NotFound {
		return is, chat.Membership{}, chat.Errorf(chat.Unavailable, "settings: %w", err)
	}
	m, err := store.Membership(ctx, room, user)
	if err != nil && chat.KindOf(err) != chat.NotFound {
		return is, m, chat.Errorf(chat.Unavailable, "membership: %w", err)
	}
	return is, m, nil
}

// readTries is how often what is read may be out of date before it is taken as it is:
// somebody changes it over and over.
const readTries = 3

// now is what is known of the room and the user, read if need be, and whether all that
// the user said here lately is known.
func (k *roomRules) now(ctx context.Context, user chat.UserID) (room chat.Room, m chat.Membership, asked bool, err error) {
	for range readTries {
		k.mu.Lock()
		w := k.writers[user]
		if w == nil {
			w = new(writer)
			k.writers[user] = w
		}
		known, behind, changes := k.known && w.known, !k.known || w.behind, k.changes
		room, m, asked = k.room, w.is, w.asked
		k.mu.Unlock()
		if known {
			return room, m, asked, nil
		}
		if room, m, err = k.rules.read(ctx, k.id, user, behind); err != nil {
			return room, m, asked, err
		}
		k.mu.Lock()
		current := k.changes == changes
		if current {
			k.room, k.known = room, true
			w.is, w.known, w.behind = m, true, false
		}
		k.mu.Unlock()
		if current {
			return room, m, asked, nil
		}
	}
	return room, m, asked, nil
}

// ask notes that all that the user said here lately is known.
func (k *roomRules) ask(user chat.UserID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.writers[user]; w != nil {
		w.asked = true
	}
}

// Take implements [hub.Subscriber].
func (k *roomRules) Take(d *hub.Delivery) (more bool) {
	room, member := d.Type == chat.RoomUpdated || d.Type == chat.RoomCreated, d.Type.Member()
	if !room && !member && d.Type != chat.MessagePosted {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case room:
		k.forgetRoom()
	case d.Type == chat.MessagePosted && k.known && k.room.SlowMode == 0:
	default:
		e, err := d.Event()
		if err != nil {
			k.rules.logger.Error("rules", "error", err)
			return true
		}
		if d.Type == chat.MessagePosted {
			k.rules.slow.note(e)
			return true
		}
		var data chat.MemberData
		if err := e.Decode(&data); err != nil {
			k.rules.logger.Error("member event", "error", err)
			return true
		}
		k.forgetWriter(data.User, true)
	}
	return true
}

// Left implements [hub.Subscriber].
func (k *roomRules) Left() {}

// forgetRoom is called with k.mu held. What was said while there was no slow mode was
// not noted.
func (k *roomRules) forgetRoom() {
	k.known = false
	k.changes++
	for _, w := range k.writers {
		w.asked = false
	}
}

// forgetWriter is called with k.mu held. behind: the store may not know yet.
func (k *roomRules) forgetWriter(user chat.UserID, behind bool) {
	if w := k.writers[user]; w != nil {
		w.known, w.behind = false, w.behind || behind
		k.changes++
	}
}

// changed says that the store has a change of a room, and of a user in it if there is
// one: whoever made it may have been answered before it is delivered here.
func (r *rules) changed(room chat.RoomID, user chat.UserID) {
	r.mu.RLock()
	kept := r.rooms[room]
	r.mu.RUnlock()
	if kept == nil {
		return
	}
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if user == "" {
		kept.forgetRoom()
	} else {
		kept.forgetWriter(user, false)
	}
}

// drop forgets the rooms' rules: all, when deliveries were lost, or those that were not
// used since the last sweep.
func (r *rules) drop(all bool) {
	r.mu.Lock()
	var dropped []*roomRules
	for id, kept := range r.rooms {
		if used := kept.used.Swap(false); all || !used {
			delete(r.rooms, id)
			dropped = append(dropped, kept)
		}
	}
	r.mu.Unlock()
	for _, kept := range dropped {
		kept.mu.Lock()
		kept.dropped = true
		follows := kept.follows
		kept.mu.Unlock()
		if follows {
			kept.Leave()
		}
	}
}
