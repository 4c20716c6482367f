//go:build !linux

package priority

import "time"

// Lower does nothing: only Linux has priorities of threads by this call.
func Lower() {}

var start = time.Now()

// used is the time that has passed: processor time of a thread is not to be had.
func used() time.Duration { return time.Since(start) }
