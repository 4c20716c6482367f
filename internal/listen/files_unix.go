//go:build unix

package listen

import "golang.org/x/sys/unix"

// maxFiles returns how many files the process may open, or 0 if there are more than
// enough.
func maxFiles() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<24 {
		return 0
	}
	return int(limit.Cur)
}
