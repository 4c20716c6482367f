package chat

import (
	"sync"
	"time"
)

// Now returns the current time in UTC, in milliseconds. It never goes back, so that the
// order of times is the order of the log, even if the machine's clock is set back: then
// it runs at half speed until the machine's clock has caught up. Only if the clock was
// more than two days ahead it was wrong rather than early, and Now goes back.
func Now() time.Time { return clockOfEvents.now(time.Now(), time.Since(started)) }

// Saw notes the time of an event that others have logged, or this process before a
// restart: [Now] will not return an earlier one.
func Saw(t time.Time) { clockOfEvents.saw(t, time.Now(), time.Since(started)) }

// farAhead is how far the clock may be ahead of the machine's.
const farAhead = 48 * time.Hour

var (
	started       = time.Now()
	clockOfEvents clock
)

// clock combines the machine's clock with a monotonic one.
type clock struct {
	mu   sync.Mutex
	last time.Time     // the latest time that was returned or seen
	at   time.Duration // the monotonic time of that
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
