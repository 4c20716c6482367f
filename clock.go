package chat

import (
	"sync"
	"time"
)

// Now is the time for what is made now: UTC, milliseconds. It never goes back, so that
// what is ordered by time is in the order of the log, although the machine's clock may
// be set back: then it goes at half the speed until the machine's clock has caught up.
// Only a clock that was over two days ahead was wrong rather than early, and is not
// waited for.
func Now() time.Time { return clockOfEvents.now(time.Now(), time.Since(started)) }

// Saw notes the time of an event that others have logged, or this process before it was
// started again: [Now] will not be before it.
func Saw(t time.Time) { clockOfEvents.saw(t, time.Now(), time.Since(started)) }

// farAhead is how far the clock may be ahead of the machine's.
const farAhead = 48 * time.Hour

var (
	started       = time.Now()
	clockOfEvents clock
)

// clock is told what the machine's clock shows, and a time that goes on steadily.
type clock struct {
	mu   sync.Mutex
	last time.Time     // the latest that was given out or seen
	at   time.Duration // when that was, steadily
}

func (c *clock) now(machine time.Time, steady time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := machine
	if slow := c.last.Add((steady - c.at) / 2); slow.After(machine) && slow.Sub(machine) <= farAhead && steady >= c.at {
		t = slow
	}
	c.last, c.at = t, steady
	return t.UTC().Truncate(time.Millisecond)
}

func (c *clock) saw(t, machine time.Time, steady time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.last) && t.Sub(machine) <= farAhead {
		c.last, c.at = t, steady
	}
}
