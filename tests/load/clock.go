package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// The clock that the processes of a run share: CLOCK_MONOTONIC, in nanoseconds.
// It is read once; from then on Go's own monotonic clock, which needs no system
// call, goes on from there.
var clockBase, clockStart = func() (int64, time.Time) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // a kernel without it does not run Go
	}
	return ts.Nano(), time.Now()
}()

func now() int64 { return clockBase + int64(time.Since(clockStart)) }
