// Package wait has the pause that somebody can end.
package wait

import "time"

// For waits for d, or until done is closed, such as a context's channel. It reports
// whether all of d has passed. It returns true at once if d is not positive.
func For(d time.Duration, done <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}
