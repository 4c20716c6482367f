package listen

// What of the files that the process may open is not for connections: its log, its
// store, its own connections, and the admin port need some.
const (
	keptFiles = 128 // and an eighth of all
	minTotal  = 16
)

// Defaults are limits that leave the process the files that it needs itself, and
// others a quarter of the connections when one address takes all that it can get.
// Where nothing is known of files they are no limits.
func Defaults() Limits {
	files := maxFiles()
	if files == 0 {
		return Limits{}
	}
	total := max(files-keptFiles-files/8, minTotal)
	return Limits{Total: total, PerAddress: max(total*3/4, 1)}
}
