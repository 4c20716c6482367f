//go:build !unix

package listen

// maxFiles returns 0: the limit is unknown.
func maxFiles() int { return 0 }
