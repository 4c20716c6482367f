package history

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

// What one user may read: at once, and a second after that. Who has read more waits.
const (
	readAtOnce    = 2 << 20
	readPerSecond = 2 << 20
)

// rates are what users have read of late, of this process.
type rates struct {
	mu    sync.Mutex
	users map[chat.UserID]*rate.Limiter
	swept time.Time
}

// wait waits until the user may read on. Errors: Unavailable when ctx ends first.
func (r *rates) wait(ctx context.Context, user chat.UserID) error {
	r.mu.Lock()
	var d time.Duration
	if lim := r.users[user]; lim != nil {
		d = lim.ReserveN(time.Now(), 0).Delay()
	}
	r.mu.Unlock()
	if d <= 0 {
		return nil
	}
	return serve.Rest(ctx, d)
}

// read counts bytes that the user has read.
func (r *rates) read(user chat.UserID, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.swept) > time.Second {
		r.swept = now
		for user, lim := range r.users {
			if lim.Tokens() >= readAtOnce {
				delete(r.users, user)
			}
		}
	}
	lim := r.users[user]
	if lim == nil {
		lim = rate.NewLimiter(readPerSecond, readAtOnce)
		if r.users == nil {
			r.users = make(map[chat.UserID]*rate.Limiter)
		}
		r.users[user] = lim
	}
	lim.ReserveN(now, min(bytes, readAtOnce))
}
