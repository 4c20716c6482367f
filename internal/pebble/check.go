package pebble

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/damage"
	"knatter.dev/chat/internal/sealed"
)

// files is what there is in a store's directory, and what the ledger says of it.
type files struct {
	fs       vfs.FS
	dir      string
	names    []string
	account  account
	count    uint64 // of the ledger's documents
	manifest string // the one that counts
	problems []damage.Problem
}

const lostTables = "what the store was given last, accounts and logins among it"

// checkFiles looks whether the files that the database only appends to are as the
// ledger says. The tables have checksums of their own.
func checkFiles(on vfs.FS, dir string) (*files, error) {
	c := &files{fs: on, dir: dir}
	var err error
	if c.names, err = on.List(dir); err != nil {
		return nil, err
	}
	slices.Sort(c.names)
	if err := c.readLedger(); err != nil {
		return nil, err
	}
	c.markers()
	logs := 0
	for _, e := range c.account.Files {
		state, err := c.state(e)
		if err != nil {
			return nil, err
		}
		switch {
		case state == "":
		case strings.HasSuffix(e.Name, ".log"):
			if logs++; logs == 1 { // the later ones go with it
				c.log(e, state)
			}
		case e.Name == c.manifest:
			c.found(e.Name, state, lostTables, func() error { return nil })
		default: // nothing is read of it
			c.found(e.Name, state, "", func() error {
				if err := c.fs.Remove(c.fs.PathJoin(c.dir, e.Name)); !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				return nil
			})
		}
	}
	return c, nil
}

func (c *files) found(name, what, loss string, mend func() error) {
	c.problems = append(c.problems, damage.Problem{File: c.fs.PathJoin(c.dir, name), What: what, Loss: loss, Mend: mend})
}

func (c *files) readLedger() error {
	f, err := c.fs.Open(c.fs.PathJoin(c.dir, ledgerName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var ok bool
	c.count, ok, err = sealed.Read(f, &c.account)
	if err == nil && !ok {
		c.found(ledgerName, "it is damaged", "", func() error { return nil }) // it is written anew
	}
	slices.SortFunc(c.account.Files, func(a, b entry) int { return strings.Compare(a.Name, b.Name) })
	return err
}

// markers checks the empty files by which the database knows its manifest and its
// format: without, it would begin a new database beside what there is.
func (c *files) markers() {
	format := false
	for _, name := range c.names { // of several markers the last one counts
		if marked, ok := strings.CutPrefix(name, "marker.manifest."); ok {
			_, c.manifest, _ = strings.Cut(marked, ".")
		}
		format = format || strings.HasPrefix(name, "marker.format-version.")
	}
	if c.manifest == "" {
		for _, name := range c.names {
			if strings.HasPrefix(name, "MANIFEST-") {
				c.manifest = name // the last one
			}
		}
		if c.manifest != "" {
			c.unmarked("marker.manifest.000001." + c.manifest)
		} else if len(c.account.Files) > 0 || slices.ContainsFunc(c.names, func(name string) bool { return filepath.Ext(name) == ".sst" }) {
			c.problems = append(c.problems, damage.Problem{File: c.dir, What: "it has no MANIFEST", Loss: "the store"})
		}
	}
	if !format && c.account.Format > 0 && c.manifest != "" {
		c.unmarked(fmt.Sprintf("marker.format-version.000001.%03d", c.account.Format))
	}
}

func (c *files) unmarked(name string) {
	c.found(name, "it is missing", "", func() error {
		f, err := c.fs.Create(c.fs.PathJoin(c.dir, name), vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// state says what is wrong with the part of a file that the ledger knows.
func (c *files) state(e entry) (string, error) {
	f, err := c.fs.Open(c.fs.PathJoin(c.dir, e.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return "it is missing", nil
	} else if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	sum := crc32.New(castagnoli)
	n, err := io.Copy(sum, io.NewSectionReader(f, 0, e.Size))
	switch {
	case err != nil:
		return "", err
	case n < e.Size:
		return fmt.Sprintf("it is cut: %d bytes where there were %d", n, e.Size), nil
	case sum.Sum32() != e.Sum:
		return "it is damaged", nil
	}
	return "", nil
}

// log is about a log that is damaged. What is kept nowhere else must be whole; then
// the database goes back to there, as what comes after can be made again.
func (c *files) log(e entry, state string) {
	keep, loss := c.account.Keep, ""
	whole, err := "", error(nil)
	switch {
	case keep.Name > e.Name:
		whole = state
	case keep.Name == e.Name:
		whole, err = c.state(keep)
	default:
		keep = entry{Name: e.Name}
	}
	if whole != "" || err != nil {
		loss = lostTables
	}
	c.found(e.Name, state, loss, func() error {
		if loss != "" { // as far as the database can read it
			return nil
		}
		return c.back(keep)
	})
}

// back cuts a log, and removes those after it.
func (c *files) back(to entry) error {
	for _, name := range c.names {
		path := c.fs.PathJoin(c.dir, name)
		if !strings.HasSuffix(name, ".log") || name < to.Name {
			continue
		}
		if name > to.Name {
			if err := c.fs.Remove(path); err != nil {
				return err
			}
			continue
		}
		if err := c.cut(path, to.Size); err != nil {
			return err
		}
	}
	return nil
}

// cut makes a file anew of its beginning.
func (c *files) cut(path string, size int64) error {
	old, err := c.fs.Open(path)
	if err != nil {
		return err
	}
	data := make([]byte, size)
	_, err = io.ReadFull(old, data)
	if err = errors.Join(err, old.Close()); err != nil {
		return err
	}
	f, err := c.fs.Create(path+".tmp", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return c.fs.Rename(path+".tmp", path)
}

// mended is the account after mending: of the files that are as it says.
func (c *files) mended() (account, error) {
	a := account{Format: c.account.Format}
	for _, e := range c.account.Files {
		state, err := c.state(e)
		if err != nil {
			return a, err
		}
		if state == "" {
			a.Files = append(a.Files, e)
		}
	}
	if state, err := c.state(c.account.Keep); err != nil {
		return a, err
	} else if state == "" && c.account.Keep.Name != "" {
		a.Keep = c.account.Keep
		if !slices.ContainsFunc(a.Files, func(e entry) bool { return e.Name == a.Keep.Name }) {
			a.Files = append(a.Files, a.Keep)
		}
	}
	return a, nil
}

const lostStore = "Put the directory of data back from a backup. To begin with an empty store, move this one away: rooms and messages come back as far as the log has them, accounts do not"

// prepare checks a directory's files, mends what loses nothing, and begins the
// ledger. Errors: Unavailable, naming the file, when mending would lose something.
func prepare(on vfs.FS, dir string) (*ledger, error) {
	c, err := checkFiles(on, dir)
	if err != nil {
		return nil, unavailableDir(dir, err)
	}
	if err := damage.Refuse(c.problems); err != nil {
		return nil, err
	}
	for _, p := range c.problems {
		slog.Warn("the store was damaged; nothing is lost", slog.String("file", p.File), slog.String("what", p.What))
	}
	if err := damage.Mend(c.problems); err != nil {
		return nil, unavailableDir(dir, err)
	}
	a, err := c.mended()
	if err != nil {
		return nil, unavailableDir(dir, err)
	}
	l, err := openLedger(on, dir, a, c.count)
	return l, unavailableDir(dir, err)
}

// verifyTime is how long a start may look for damage in the tables. What it does not
// get to is found when it is read, or by Check.
const verifyTime = time.Second

// verify reads as much of the store as there is time for. Errors: Unavailable, naming
// the file that is damaged.
func (s *Store) verify() error {
	until := time.Now().Add(verifyTime)
	all, err := readAll(context.Background(), s.db, func() bool { return time.Now().After(until) })
	if err != nil {
		return chat.Errorf(chat.Unavailable, "%s: %w\n%s", culprit(s.ledger, s.health.dir, err), err, lostStore)
	}
	if !all {
		slog.Debug("the store is large: not all of it was checked at the start")
	}
	return nil
}

// Check looks whether the store in a directory is as it was written, all of it,
// without changing anything. Nothing may have it open.
//
// Errors: Unavailable, naming the directory, when it is in use or cannot be read.
func Check(ctx context.Context, dir string) ([]damage.Problem, error) {
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		return nil, chat.Errorf(chat.Unavailable, "store directory %s is in use by another process: %w", dir, err)
	}
	defer func() { _ = lock.Close() }()
	c, err := checkFiles(vfs.Default, dir)
	if err != nil || len(c.problems) > 0 {
		return c.problems, unavailableDir(dir, err)
	}
	h := newHealth(vfs.Default, dir, 0)
	options := tuning(options{fs: vfs.Default}, h, lock)
	options.ReadOnly = true
	db, err := pebble.Open(dir, options)
	if err != nil {
		return []damage.Problem{{File: dir, What: err.Error(), Loss: "the store"}}, nil
	}
	_, err = readAll(ctx, db, nil)
	err = errors.Join(err, db.Close())
	if err == nil || ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return []damage.Problem{{File: culprit(vfs.Default, dir, err), What: err.Error(), Loss: "what is in it"}}, nil
}

var numbered = regexp.MustCompile(`\bfile (\d{6,})\b`)

// culprit is the file that an error of reading is about, or else the directory.
func culprit(on vfs.FS, dir string, err error) string {
	if found := numbered.FindStringSubmatch(err.Error()); found != nil {
		names, _ := on.List(dir) // without, it is the directory
		for _, name := range names {
			if strings.HasPrefix(name, found[1]+".") {
				return on.PathJoin(dir, name)
			}
		}
	}
	return dir
}

// readAll reads all rows, with checksums; until it is told to stop. It reports whether
// it has read all.
func readAll(ctx context.Context, db *pebble.DB, stop func() bool) (all bool, err error) {
	defer func() {
		// Where a blob cannot be opened, Pebble 2.1 has nothing to tell its event of, and panics.
		if r := recover(); r != nil {
			err = fmt.Errorf("a .blob file is missing or cut (%v)", r)
		}
	}()
	it, err := db.NewIterWithContext(ctx, nil)
	if err != nil {
		return false, err
	}
	defer finish(it, &err)
	rows := 0
	for ok := it.First(); ok; ok = it.Next() {
		if _, err := it.ValueAndErr(); err != nil {
			return false, err
		}
		if rows++; stop != nil && rows%1024 == 0 && stop() {
			return false, nil
		}
	}
	return it.Error() == nil, it.Error()
}

func unavailableDir(dir string, err error) error {
	if err == nil {
		return nil
	}
	return chat.Errorf(chat.Unavailable, "store directory %s: %w", dir, err)
}
