//go:build !linux

package priority

import "time"

// Lower does nothing: only Linux has thread priorities by this call.
func Lower() {}

var start = time.Now()

// used returns the time that has passed: the processor time of a thread is unknown.
func used() time.Duration { return time.Since(start) }
