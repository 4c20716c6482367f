package kafka

import (
	"context"
	"time"
)

// Pace keeps a loop from turning faster than it should: a turn after a pause
// longer than the interval comes at once, others an interval after the one before.
// So polling for records that come one by one, each of which would cost a round
// trip, takes them in batches when there are many.
type Pace struct {
	interval time.Duration
	next     time.Time
}

// NewPace returns a pace of at most one turn in each interval.
func NewPace(interval time.Duration) *Pace {
	return &Pace{interval: interval, next: time.Now().Add(interval)}
}

// Wait waits for the next turn, or for ctx to end.
func (p *Pace) Wait(ctx context.Context) {
	if d := time.Until(p.next); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	p.next = time.Now().Add(p.interval)
}
