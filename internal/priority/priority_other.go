//go:build !linux

package priority

// Lower does nothing: only Linux has priorities of threads by this call.
func Lower() {}
