package kafka

import (
	"context"
	"time"

	"knatter.dev/chat/internal/wait"
)

// A PollLimiter keeps a loop from polling too often. A poll after a pause longer
// than the interval comes at once, any other one interval after the one before.
// Records that come one by one would cost a round trip each; this way many of them
// come in one batch.
type PollLimiter struct {
	interval time.Duration
	next     time.Time
}

// NewPollLimiter returns a limiter that allows one poll in each interval.
func NewPollLimiter(interval time.Duration) *PollLimiter {
	return &PollLimiter{interval: interval, next: time.Now().Add(interval)}
}

// Wait blocks until the next poll is due, or ctx ends.
func (p *PollLimiter) Wait(ctx context.Context) {
	wait.For(time.Until(p.next), ctx.Done())
	p.next = time.Now().Add(p.interval)
}
