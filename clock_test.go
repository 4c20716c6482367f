package chat

import (
	"testing"
	"time"
)

func TestTimesNeverGoBack(t *testing.T) {
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	var c clock
	machine, steady := noon, time.Hour // what the machine shows, and what goes on
	pass := func(d time.Duration) { machine, steady = machine.Add(d), steady+d }
	var last time.Time
	next := func() time.Time {
		t.Helper()
		got := c.now(machine, steady)
		if got.Before(last) {
			t.Errorf("%v comes after %v", got, last)
		}
		last = got
		return got
	}

	if got := next(); !got.Equal(noon) {
		t.Errorf("%v at noon", got)
	}
	pass(time.Second)
	next()
	machine = machine.Add(-time.Hour) // set back
	for range 100 {
		before := last
		pass(10 * time.Millisecond)
		if got := next(); !got.After(before) {
			t.Fatalf("%v is not after %v, though time has passed", got, before)
		}
	}
	pass(2 * time.Hour) // by then it has caught up
	if got := next(); !got.Equal(machine.Truncate(time.Millisecond)) {
		t.Errorf("%v when the clock shows %v", got, machine)
	}

	c.saw(machine.Add(time.Minute), machine, steady) // of another machine, whose clock is ahead
	if got := next(); got.Before(machine.Add(time.Minute)) {
		t.Errorf("%v is before what was seen", got)
	}
	c.saw(machine.Add(-time.Minute), machine, steady)
	c.saw(machine.AddDate(10, 0, 0), machine, steady) // nonsense
	if got := next(); got.After(machine.Add(2 * time.Minute)) {
		t.Errorf("%v when the clock shows %v", got, machine)
	}

	machine = machine.AddDate(10, 0, 0) // a clock that was set wrong, and is set right
	next()
	machine, last = machine.AddDate(-10, 0, 0), time.Time{}
	if got := next(); !got.Equal(machine.Truncate(time.Millisecond)) {
		t.Errorf("%v when the clock shows %v", got, machine)
	}
}
