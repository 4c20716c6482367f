package priority

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Background is added to the niceness of threads that nobody waits for: the
// kernel gives them a third of the processor time that it gives the others when
// all want it, and all of it when no other does.
const Background = 5

// Lower makes the rest of the goroutine's work run at lower priority. It
// has a thread of its own from then on, which ends with it: no other goroutine
// inherits the niceness. (The main thread cannot end; if it is the one, the runtime
// never uses it again.) Where the kernel refuses, the work goes on as before.
func Lower() {
	runtime.LockOSThread() // never unlocked
	thread := unix.Gettid()
	now, err := Niceness(thread)
	if err != nil {
		return
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, thread, min(now+Background, 19))
}

// Niceness is that of a thread, from -20 to 19.
func Niceness(thread int) (int, error) {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, thread)
	return 20 - n, err // so the system call has it
}

// used is the processor time of the calling thread; 0 if it is not to be had.
func used() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
