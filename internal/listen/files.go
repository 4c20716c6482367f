package listen

// The open files that are reserved for the log, the store, our own connections, and the
// admin port.
const (
	keptFiles = 128 // and an eighth of all
	minTotal  = 16
)

// Defaults returns limits that leave the process the files that it needs itself, and
// leave others a quarter of the connections if one address takes all that it can get.
// If the limit of open files is unknown, there are no limits.
func Defaults() Limits {
	files := maxFiles()
	if files == 0 {
		return Limits{}
	}
	total := max(files-keptFiles-files/8, minTotal)
	return Limits{Total: total, PerAddress: max(total*3/4, 1)}
}
