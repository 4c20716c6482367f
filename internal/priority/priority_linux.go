package priority

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Background is added to the niceness of threads that nobody waits for. The kernel
// gives them a third of the processor time that it gives the others if all want it, and
// all of it if no other does.
const Background = 5

// Lower runs the rest of the goroutine at lower priority. From then on the goroutine
// has a thread of its own, which ends with it, so that no other goroutine inherits the
// niceness. (The main thread cannot end; the runtime then never uses it again.) If the
// kernel refuses, the work continues at the same priority.
func Lower() {
	runtime.LockOSThread() // never unlocked
	thread := unix.Gettid()
	now, err := Niceness(thread)
	if err != nil {
		return
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, thread, min(now+Background, 19))
}

// Niceness returns the niceness of a thread, from -20 to 19.
func Niceness(thread int) (int, error) {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, thread)
	return 20 - n, err // the system call returns it like that
}

// used returns the processor time of the calling thread, or 0 if it is unknown.
func used() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
