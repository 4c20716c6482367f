package connector

import (
	"context"
	"sync"
	"time"

	"knatter.dev/chat"
)

// departedFor is how long a departure is remembered: longer than any store lags
// behind the log in health.
const departedFor = 5 * time.Minute

// departed knows who lately left a room, or was removed from it, while they
// followed it here. The store may not know yet, as persisting is asynchronous.
type departed struct {
	mu sync.Mutex
	at map[departure]departedAt
}

type departure struct {
	room chat.RoomID
	user chat.UserID
}

type departedAt struct {
	sequence chat.Sequence
	when     time.Time
}

func (d *departed) note(room chat.RoomID, user chat.UserID, s chat.Sequence) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at == nil {
		d.at = make(map[departure]departedAt)
	}
	key := departure{room, user}
	if s > d.at[key].sequence {
		d.at[key] = departedAt{s, time.Now()}
	}
}

// since is the sequence of the user's last departure that is known; 0 if none is.
func (d *departed) since(room chat.RoomID, user chat.UserID) chat.Sequence {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[departure{room, user}].sequence
}

func (d *departed) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, at := range d.at {
		if time.Since(at.when) > departedFor {
			delete(d.at, key)
		}
	}
}

// members are the rooms and members that the store has, but for departures that this
// connector knows of and the store does not yet.
type members struct {
	chat.RoomStore
	departed departed
}

// Membership implements [chat.RoomStore].
func (m *members) Membership(ctx context.Context, room chat.RoomID, user chat.UserID) (chat.Membership, error) {
	is, err := m.RoomStore.Membership(ctx, room, user)
	if err == nil && is.Sequence < m.departed.since(room, user) {
		is.Active = false
	}
	return is, err
}
