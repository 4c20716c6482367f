package kafka_test

import (
	"fmt"
	"syscall"
)

// mount puts a disk of so many MiB, in memory, on a folder.
func mount(dir string, size int) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size))
}

func enlarge(dir string, size int) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%dm", size))
}

func unmount(dir string) error { return syscall.Unmount(dir, 0) }
