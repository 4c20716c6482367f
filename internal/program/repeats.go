package program

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// repeatPause is how often a warning or an error of one kind is logged at most.
const repeatPause = time.Second

// maxKinds bounds what is remembered; messages are constants, so there are fewer.
const maxKinds = 1000

// Calm is a handler that passes on to another one what is logged, but a warning or an
// error with the same message only once a second: of those that come within a second
// the last one, which says as left_out how many there were before it. What fails, fails
// again and again, each time it is tried; the log must not be what fills the disk then.
func Calm(h slog.Handler) slog.Handler {
	return &calm{Handler: h, repeats: &repeats{kinds: make(map[kind]*repeat)}}
}

type calm struct {
	slog.Handler
	*repeats // of all handlers that were made of the first one
}

type repeats struct {
	mu    sync.Mutex
	kinds map[kind]*repeat
}

type kind struct {
	level   slog.Level
	message string
}

type repeat struct {
	next    time.Time // when it may be logged again
	left    int       // out since then
	last    slog.Record
	handler slog.Handler // of last
}

// Handle implements [slog.Handler].
func (c *calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return c.Handler.Handle(ctx, r)
	}
	if !c.admit(r) {
		return nil
	}
	return c.Handler.Handle(ctx, r)
}

// admit reports whether a record is to be logged now. If not, it is kept.
func (c *calm) admit(r slog.Record) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, at := kind{r.Level, r.Message}, time.Now()
	known := c.kinds[k]
	if known == nil {
		if len(c.kinds) >= maxKinds {
			clear(c.kinds)
		}
		known = new(repeat)
		c.kinds[k] = known
	}
	if !at.Before(known.next) && known.left == 0 {
		known.next = at.Add(repeatPause)
		return true
	}
	if known.left == 0 {
		time.AfterFunc(known.next.Sub(at), func() { c.flush(known) })
	}
	known.left++
	known.last, known.handler = r.Clone(), c.Handler
	return false
}

// flush logs the last of those that were left out.
func (r *repeats) flush(known *repeat) {
	r.mu.Lock()
	left, last, handler := known.left, known.last, known.handler
	known.left = 0
	known.next = time.Now().Add(repeatPause)
	r.mu.Unlock()
	if left > 1 {
		last.AddAttrs(slog.Int("left_out", left-1))
	}
	_ = handler.Handle(context.Background(), last) // there is nobody to tell
}

// WithAttrs implements [slog.Handler].
func (c *calm) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &calm{Handler: c.Handler.WithAttrs(attrs), repeats: c.repeats}
}

// WithGroup implements [slog.Handler].
func (c *calm) WithGroup(name string) slog.Handler {
	return &calm{Handler: c.Handler.WithGroup(name), repeats: c.repeats}
}
