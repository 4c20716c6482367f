package serve

import (
	"cmp"
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/guard"
	"knatter.dev/chat/internal/priority"
	"knatter.dev/chat/internal/wait"
)

// Reads limits what reading costs, for functions with expensive requests: a rate for
// each user, and the number of requests handled at once. The zero value is ready to
// use.
type Reads struct {
	Rate   float64       // requests a second of one user; default 50
	Burst  int           // burst of one user; default 200
	AtOnce int           // requests of all users; default half the number of processors
	Wait   time.Duration // maximum wait for the reads of others; default 15 s
	Time   time.Duration // maximum duration of one read; default 5 s

	elsewhere bool
	run       func(ctx context.Context, what string, f func() error) (took time.Duration, err error)
	once      sync.Once
	slots     chan struct{}

	mu    sync.Mutex
	users map[chat.UserID]*reader
	swept time.Time
}

type reader struct {
	limit *rate.Limiter
	time  *rate.Limiter // in microseconds of processor time
	now   int           // the user's reads that run or wait
}

const (
	readsAtOnce = 8 // reads of one user that run or wait
	partsAtOnce = 8 // parts of one read from a remote store
	readersFor  = time.Minute

	// Processor time of one user, per second and as a burst, where the store is in this
	// process: a search for 20 words takes some milliseconds, and so does a list of 100
	// rooms. A user who has used more waits, for at most longestRest.
	timeOfUser  = 150 * time.Millisecond
	timeAtOnce  = 600 * time.Millisecond
	longestRest = 3 * time.Second
)

// Elsewhere says that the store is a separate server. This process then mostly waits,
// so many reads can run at once. It must be called before the first read.
func (r *Reads) Elsewhere() { r.AtOnce, r.Time, r.elsewhere = 32, 25*time.Second, true }

// Each calls f for the parts of a read, 0 to n-1, until one fails. If the store is
// remote, several calls run at once. A local store takes a processor, and one has to
// do. Errors: those of f and ctx.
func (r *Reads) Each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	if !r.elsewhere {
		for i := range n {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(ctx, i); err != nil {
				return err
			}
		}
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(partsAtOnce)
	for i := range n {
		group.Go(guard.Func(ctx, "a read", func() error { return f(ctx, i) }))
	}
	return group.Wait()
}

func (r *Reads) init() {
	r.once.Do(func() {
		r.Rate, r.Burst = cmp.Or(r.Rate, 50), cmp.Or(r.Burst, 200)
		r.Wait, r.Time = cmp.Or(r.Wait, 15*time.Second), cmp.Or(r.Time, 5*time.Second)
		r.slots = make(chan struct{}, cmp.Or(r.AtOnce, max(1, runtime.NumCPU()/2)))
		r.users = make(map[chat.UserID]*reader)
		if r.run == nil {
			r.run = priority.Run
		}
	})
}

// Limited wraps handle for users who are logged in, within the limits. cost returns the
// number of tokens that a request takes.
func (r *Reads) Limited(v *auth.Verifier, cost func(*http.Request) int, handle func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, req *http.Request) error {
		claims, err := v.Request(req)
		if err != nil {
			return err
		}
		return r.Do(req.Context(), claims.User, cost(req), func(ctx context.Context) error { return handle(w, req.WithContext(ctx)) })
	}
}

// Do calls f, which costs the given number of tokens, when it is the user's turn. f's
// context ends when f takes too long. If the store is in this process, f runs at a
// lower priority than messages in transit, provided that it starts no goroutine.
// Errors: TooMany, Unavailable, and those of f.
func (r *Reads) Do(ctx context.Context, user chat.UserID, cost int, f func(context.Context) error) error {
	r.init()
	if !r.enter(user, cost) {
		return chat.Errorf(chat.TooMany, "too many reads; try again in a second")
	}
	defer r.leave(user)
	if err := r.rest(ctx, user); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, r.Wait)
	defer cancel()
	select {
	case r.slots <- struct{}{}:
	case <-waiting.Done():
		return chat.Errorf(chat.Unavailable, "too many reads of other users: %w", waiting.Err())
	}
	defer func() { <-r.slots }()
	reading, stop := context.WithTimeout(ctx, r.Time)
	defer stop()
	err := r.read(reading, user, f)
	if err != nil && reading.Err() != nil && ctx.Err() == nil {
		return chat.Errorf(chat.Unavailable, "the read takes too long: %w", err)
	}
	return err
}

func (r *Reads) read(ctx context.Context, user chat.UserID, f func(context.Context) error) error {
	if r.elsewhere {
		return f(ctx)
	}
	took, err := r.run(ctx, "a read", func() error { return f(ctx) })
	r.mu.Lock()
	defer r.mu.Unlock()
	reserve(r.users[user].time, took)
	return err
}

// rest waits for the user's share of the processors. Errors: TooMany if that would take
// too long, Unavailable if ctx ends first.
func (r *Reads) rest(ctx context.Context, user chat.UserID) error {
	if r.elsewhere {
		return nil
	}
	r.mu.Lock()
	taken := r.users[user].time.ReserveN(time.Now(), 1)
	r.mu.Unlock()
	d := taken.Delay()
	if d > longestRest {
		taken.Cancel()
		return chat.Errorf(chat.TooMany, "reads have used too much processor time; try again in a few seconds")
	}
	return Rest(ctx, d)
}

// Rest delays a user who has exceeded their read rate. Errors: Unavailable if ctx ends
// first.
func Rest(ctx context.Context, d time.Duration) error {
	if !wait.For(d, ctx.Done()) {
		return chat.Errorf(chat.Unavailable, "waiting for the read rate: %w", ctx.Err())
	}
	return nil
}

// reserve takes tokens for time that was used, even if they are not there yet.
func reserve(lim *rate.Limiter, took time.Duration) {
	lim.ReserveN(time.Now(), min(int(took.Microseconds()), lim.Burst()))
}

func (r *Reads) enter(user chat.UserID, cost int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.swept) > readersFor {
		r.swept = now
		for id, u := range r.users {
			if u.now == 0 && full(u.limit, now) && full(u.time, now) {
				delete(r.users, id)
			}
		}
	}
	u := r.users[user]
	if u == nil {
		u = &reader{
			limit: rate.NewLimiter(rate.Limit(r.Rate), r.Burst),
			time:  rate.NewLimiter(rate.Limit(timeOfUser.Microseconds()), int(timeAtOnce.Microseconds())),
		}
		r.users[user] = u
	}
	if u.now >= readsAtOnce || !u.limit.AllowN(time.Now(), min(cost, r.Burst)) {
		return false
	}
	u.now++
	return true
}

func full(lim *rate.Limiter, now time.Time) bool { return lim.TokensAt(now) >= float64(lim.Burst()) }

func (r *Reads) leave(user chat.UserID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users[user].now--
}
