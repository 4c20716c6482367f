//go:build !linux

package pebble

// lowerPriority does nothing: only Linux has priorities of threads by this call.
func lowerPriority() {}
