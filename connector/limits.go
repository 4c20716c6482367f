package connector

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/wait"
)

const (
	frameCost   = 512         // bytes that a frame counts for beside its payload: it takes time of its own
	longestWait = time.Minute // for a rate; nobody waits so long
	refusalTime = time.Minute // over which refusals count

	lookupsAtOnce    = 200
	lookupsPerSecond = 2000 // rooms that one user's subscriptions name; what is over that waits
	opensPerSecond   = 10   // sessions of one user; what is over that waits
	refusalsOfUser   = 2    // times the refusals of a socket
)

// shares are what users may take of this connector, each over all of their sockets
// and requests, and what may be written to rooms.
type shares struct {
	cfg Config

	mu    sync.Mutex
	users map[chat.UserID]*share
	rooms map[chat.RoomID]*rate.Limiter
}

// share is one user's.
type share struct {
	sockets  int // guarded by shares.mu
	frames   *rate.Limiter
	bytes    *rate.Limiter
	lookups  *rate.Limiter
	opens    *rate.Limiter
	refusals *rate.Limiter
	signals  throttle
}

func newShares(cfg Config) *shares {
	return &shares{cfg: cfg, users: make(map[chat.UserID]*share), rooms: make(map[chat.RoomID]*rate.Limiter)}
}

// of is the user's share.
func (s *shares) of(user chat.UserID) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ofLocked(user)
}

func (s *shares) ofLocked(user chat.UserID) *share {
	u := s.users[user]
	if u == nil {
		refusals := refusalsOfUser * s.cfg.Burst
		u = &share{
			frames:   rate.NewLimiter(rate.Limit(s.cfg.UserFramesPerSecond), s.cfg.UserBurst),
			bytes:    rate.NewLimiter(rate.Limit(s.cfg.UserBytesPerSecond), max(s.cfg.UserBytesPerSecond, s.cfg.FrameBytes+frameCost)),
			lookups:  rate.NewLimiter(lookupsPerSecond, lookupsAtOnce),
			opens:    rate.NewLimiter(opensPerSecond, s.cfg.SocketsPerUser),
			refusals: rate.NewLimiter(rate.Limit(float64(refusals)/refusalTime.Seconds()), refusals),
		}
		s.users[user] = u
	}
	return u
}

// enter counts one more socket of the user; false when there are too many.
func (s *shares) enter(user chat.UserID) (*share, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.ofLocked(user)
	u.sockets++
	return u, u.sockets <= s.cfg.SocketsPerUser
}

func (s *shares) leave(u *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.sockets--
}

// room takes bytes that are written to a room, and returns how long to wait for them.
// A room is everybody's, so nothing is refused for it.
func (s *shares) room(id chat.RoomID, bytes int) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	lim := s.rooms[id]
	if lim == nil {
		lim = rate.NewLimiter(rate.Limit(s.cfg.RoomBytesPerSecond), max(s.cfg.RoomBytesPerSecond, s.cfg.FrameBytes+frameCost))
		s.rooms[id] = lim
	}
	return reserve(lim, bytes+frameCost)
}

// sweep forgets the users and rooms that have all they may take.
func (s *shares) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for user, u := range s.users {
		if u.sockets == 0 && full(u.frames) && full(u.bytes) && full(u.lookups) && full(u.opens) && full(u.refusals) {
			delete(s.users, user)
		}
	}
	for id, lim := range s.rooms {
		if full(lim) {
			delete(s.rooms, id)
		}
	}
}

func full(lim *rate.Limiter) bool { return lim.Tokens() >= float64(lim.Burst()) }

// take takes bytes, and returns how long to wait for them.
func (u *share) take(bytes int) time.Duration { return reserve(u.bytes, bytes+frameCost) }

// reserve takes n tokens, now or in time, and returns how long to wait for them.
func reserve(lim *rate.Limiter, n int) time.Duration {
	return min(lim.ReserveN(time.Now(), min(n, lim.Burst())).Delay(), longestWait)
}

// allow takes what a request of the user sends, and waits for its bytes.
// Errors: TooMany over the frames, with the time after which there will be room;
// Unavailable when ctx ends.
func (s *shares) allow(ctx context.Context, user chat.UserID, events, bytes int) (retry time.Duration, err error) {
	u := s.of(user)
	now := time.Now()
	taken := u.frames.ReserveN(now, events)
	if retry := taken.DelayFrom(now); retry > 0 {
		taken.CancelAt(now)
		return retry, chat.Errorf(chat.TooMany, "over %d events a second", s.cfg.UserFramesPerSecond)
	}
	if !wait.For(u.take(bytes), ctx.Done()) {
		return 0, chat.Errorf(chat.Unavailable, "waiting for the rate in bytes: %w", ctx.Err())
	}
	return 0, nil
}
