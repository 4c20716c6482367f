// Package pebble keeps all stores and the search index in one embedded
// database, for a single process. Everything that a call has acknowledged is
// synced to the disk, except the counts of attempts.
//
// What is read before it is written (first sequences, newest changes, counts) is
// so under a mutex of its store, held until the write is durable: whoever finds
// a row may rely on it. Throughput does not come from concurrent calls but from
// large ones (see serve.Batcher), and the stores' syncs share the database's log.
package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
	"knatter.dev/chat/internal/store"
)

// Store is the database and its stores.
type Store struct {
	db     *pebble.DB
	lock   *pebble.Lock
	ledger *ledger
	health *health

	life   sync.RWMutex // held for reading by every call, so that Close waits for them
	closed bool

	events   *Events
	rooms    *Rooms
	accounts *Accounts
	sessions *Sessions
	attempts *Attempts
	invites  *Invites
	routes   *Routes
	index    *Index
	progress *Progress
}

var _ store.Adapter = (*Store)(nil)

// Option changes how a store is opened.
type Option func(*options)

type options struct {
	fs      vfs.FS
	reserve uint64
}

// cacheSize is the size of the block cache in bytes, which the memtables count
// against. It is filled as far as there is data.
const cacheSize = 320 << 20

// WithReserve sets how much disk space must stay free, in bytes: below it, writes
// are refused as Unavailable until there is room again. It leaves the database
// what it needs to finish what it has begun. Default: 256 MiB.
func WithReserve(bytes uint64) Option { return func(o *options) { o.reserve = bytes } }

func withFS(fs vfs.FS) Option { return func(o *options) { o.fs = fs } }

// Open opens the store in a directory, which it creates if need be.
//
// Errors: Unavailable, naming the directory, when another process uses it, when
// it cannot be read or written, or when it holds another version's layout.
func Open(dir string, opts ...Option) (*Store, error) {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return open(dir, opts...)
}

// OpenMemory opens an empty store that is gone when it is closed.
func OpenMemory() (*Store, error) {
	return open("", withFS(vfs.NewMem()))
}

func open(dir string, opts ...Option) (*Store, error) {
	o := options{fs: vfs.Default, reserve: 256 << 20}
	for _, opt := range opts {
		opt(&o)
	}
	if err := o.fs.MkdirAll(dir, 0o700); err != nil {
		return nil, chat.Errorf(chat.Unavailable, "store directory %s: %w", dir, err)
	}
	lock, err := pebble.LockDirectory(dir, o.fs)
	if err != nil {
		var path *fs.PathError // the lock file cannot even be made
		if errors.As(err, &path) {
			return nil, chat.Errorf(chat.Unavailable, "store directory %s: %w", dir, err)
		}
		return nil, chat.Errorf(chat.Unavailable, "store directory %s is in use by another process: %w", dir, err)
	}
	s := &Store{lock: lock, health: newHealth(o.fs, dir, o.reserve)}
	if s.ledger, err = prepare(o.fs, dir); err != nil {
		_ = lock.Close()
		return nil, err
	}
	o.fs = s.ledger
	err = s.health.run(func() (err error) {
		s.db, err = pebble.Open(dir, tuning(o, s.health, lock))
		return err
	})
	if err != nil {
		_ = errors.Join(s.ledger.file.Close(), lock.Close()) // the first error is the one to tell
		return nil, chat.Errorf(chat.Unavailable, "store directory %s: %w\n%s", dir, err, lostStore)
	}
	s.events = &Events{s: s, blocks: newBlocks(), marks: marks{store: chat.StoreEvents}}
	s.rooms = &Rooms{s: s, marks: marks{store: chat.StoreRooms}}
	s.accounts = &Accounts{s: s}
	s.sessions = &Sessions{s: s}
	s.attempts = &Attempts{s: s}
	s.invites = &Invites{s: s}
	s.routes = &Routes{s: s, marks: marks{store: chat.StoreRoutes}, open: make(map[chat.StreamID][]int)}
	s.index = newIndex(s)
	s.progress = &Progress{s: s}
	err = s.verify()
	if err == nil {
		err = s.ledger.format(uint64(s.db.FormatMajorVersion()))
	}
	if err == nil {
		err = s.checkSchema()
	}
	if err == nil {
		err = s.index.loadAnalysis()
	}
	if err == nil {
		err = s.index.load()
	}
	if err == nil {
		err = s.index.loadChanges()
	}
	if err == nil {
		err = s.routes.load()
	}
	if err == nil {
		err = s.loadMarks()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store directory %s: %w", dir, err), s.Close())
	}
	return s, nil
}

// tuning is made for few cores: postings are most of what is written, each of
// them small, so memtables are large and the first level is too (each message is
// rewritten less often), what is long, as messages are, is not rewritten with its
// key at all, and compression is the quickest one.
func tuning(o options, h *health, lock *pebble.Lock) *pebble.Options {
	p := &pebble.Options{
		FS:                          o.fs,
		Lock:                        lock,
		Comparer:                    comparer,
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   cacheSize,
		MemTableSize:                64 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       40,
		LBaseMaxBytes:               256 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		BytesPerSync:                1 << 20,
		WALBytesPerSync:             1 << 20,
		Logger:                      h,
		EventListener:               h.listener(),
	}
	p.TargetFileSizes[0] = 4 << 20
	for i := range p.Levels {
		p.Levels[i].BlockSize = 16 << 10
		p.Levels[i].IndexBlockSize = 64 << 10
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	p.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	p.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		return pebble.ValueSeparationPolicy{
			Enabled:               true,
			MinimumSize:           128,
			MaxBlobReferenceDepth: 256,
			RewriteMinimumAge:     15 * time.Minute,
			TargetGarbageRatio:    0.3,
		}
	}
	p.Experimental.SpanPolicyFunc = values
	return p
}

// values says where the values of a range of keys are kept: those of events and
// recent documents apart from their keys. Events come in the order of time, and so
// does who reads a page of them: it finds them together. Recent documents are gone
// before they would have been rewritten for anything.
func values(start []byte) (policy pebble.SpanPolicy, end []byte, err error) {
	policy.DisableValueSeparationBySuffix = true // no suffix is a version here
	for _, kind := range []byte{kindEvent, kindMessage, kindRecent} {
		switch {
		case len(start) == 0 || start[0] < kind:
			policy.ValueStoragePolicy = pebble.ValueStorageLowReadLatency
			return policy, []byte{kind}, nil
		case start[0] == kind:
			return policy, []byte{kind + 1}, nil
		}
	}
	policy.ValueStoragePolicy = pebble.ValueStorageLowReadLatency
	return policy, nil, nil
}

func (s *Store) checkSchema() error {
	found, ok, err := s.get([]byte{kindSchema})
	if err != nil {
		return err
	}
	if ok {
		return s.migrate(context.Background(), string(found))
	}
	b := s.db.NewBatch()
	_ = b.Set([]byte{kindSchema}, []byte(schema), nil)
	return s.commit(b, pebble.Sync)
}

// Stores implements [store.Adapter].
func (s *Store) Stores() store.Stores {
	return store.Stores{
		Events:   s.events,
		Rooms:    s.Rooms(),
		Accounts: s.accounts,
		Sessions: s.sessions,
		Attempts: s.attempts,
		Invites:  s.invites,
		Routes:   s.routes,
		Index:    s.index,
		Progress: s.progress,
	}
}

// Events is the event store.
func (s *Store) Events() *Events { return s.events }

// Rooms is the room store.
func (s *Store) Rooms() projection.Rooms { return projection.Rooms{States: s.rooms} }

// Accounts is the account store.
func (s *Store) Accounts() *Accounts { return s.accounts }

// Sessions is the session store.
func (s *Store) Sessions() *Sessions { return s.sessions }

// Attempts is the attempt store.
func (s *Store) Attempts() *Attempts { return s.attempts }

// Invites is the invite store.
func (s *Store) Invites() *Invites { return s.invites }

// Routes is the route store.
func (s *Store) Routes() *Routes { return s.routes }

// Index is the search index.
func (s *Store) Index() *Index { return s.index }

// Progress is what the store knows of the log.
func (s *Store) Progress() *Progress { return s.progress }

// Check reports whether the store can still read and write. Errors: Unavailable.
func (s *Store) Check(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	return s.health.writable()
}

// Close waits for calls in flight and closes the database. Later calls, and a
// second Close, are Unavailable and do nothing.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return chat.Errorf(chat.Unavailable, "the store is closed")
	}
	s.closed = true
	if err := s.health.failure(); err != nil {
		// The database waits for its background work, which will not end any more.
		// The directory stays locked until the process ends.
		return err
	}
	if err := s.health.run(s.db.Close); err != nil {
		return chat.Errorf(chat.Unavailable, "closing the store: %w", err)
	}
	return errors.Join(s.ledger.file.Close(), s.lock.Close())
}

// enter begins a call and leave ends it. A call must not enter twice.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return chat.Errorf(chat.Unavailable, "store: %w", err)
	}
	s.life.RLock()
	err := s.health.failure()
	if s.closed {
		err = chat.Errorf(chat.Unavailable, "the store is closed")
	}
	if err != nil {
		s.life.RUnlock()
	}
	return err
}

func (s *Store) leave() { s.life.RUnlock() }

// commit writes the batch, all or nothing, and is done with it.
func (s *Store) commit(b *pebble.Batch, o *pebble.WriteOptions) error {
	if b.Empty() {
		return b.Close()
	}
	if err := s.health.writable(); err != nil {
		return errors.Join(err, b.Close())
	}
	if err := s.health.run(func() error { return b.Commit(o) }); err != nil {
		// The batch is not closed: the database may still hold on to it.
		return unavailable(err)
	}
	return b.Close()
}

// keep is commit, synced, of what is kept nowhere else.
func (s *Store) keep(b *pebble.Batch) error {
	if err := s.commit(b, pebble.Sync); err != nil {
		return err
	}
	s.ledger.keep()
	return nil
}

// get returns a copy of the row and whether there is one.
func (s *Store) get(key []byte) ([]byte, bool, error) { return get(s.db, key) }

func get(r pebble.Reader, key []byte) ([]byte, bool, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, unavailable(err)
	}
	b := append([]byte(nil), v...)
	return b, true, closer.Close()
}

// iterate opens an iterator over the keys that begin with prefix.
func (s *Store) iterate(ctx context.Context, prefix []byte) (*pebble.Iterator, error) {
	return s.iterateRange(ctx, prefix, after(prefix))
}

func (s *Store) iterateRange(ctx context.Context, from, to []byte) (*pebble.Iterator, error) {
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return nil, unavailable(err)
	}
	return it, nil
}

// points opens an iterator for finding single rows, most of which are not there:
// unlike get it asks the bloom filters of the lowest level too.
func (s *Store) points(ctx context.Context) (*pebble.Iterator, error) {
	return s.seeker(ctx, &pebble.IterOptions{UseL6Filters: true})
}

// seeker opens an iterator for SeekPrefixGE.
func (s *Store) seeker(ctx context.Context, o *pebble.IterOptions) (*pebble.Iterator, error) {
	it, err := s.db.NewIterWithContext(ctx, o)
	if err != nil {
		return nil, unavailable(err)
	}
	return it, nil
}

// find returns the row of a key without a trailing number, valid until the
// iterator moves.
func find(it *pebble.Iterator, key []byte) ([]byte, bool, error) {
	if !it.SeekPrefixGE(key) {
		if err := it.Error(); err != nil {
			return nil, false, unavailable(err)
		}
		return nil, false, nil
	}
	v, err := it.ValueAndErr()
	if err != nil {
		return nil, false, unavailable(err)
	}
	return v, true, nil
}

// finish closes an iterator and adds its error, if any, to err.
func finish(it *pebble.Iterator, err *error) {
	if e := it.Close(); e != nil && *err == nil {
		*err = unavailable(e)
	}
}

// unavailable gives an error of the database its kind.
func unavailable(err error) error {
	var known *chat.Error
	if errors.As(err, &known) {
		return err
	}
	return chat.Errorf(chat.Unavailable, "store: %w", err)
}

// damaged is a row that cannot be what was written. Its key is not told: it has
// rooms' ids.
func damaged(key []byte) error {
	return chat.Errorf(chat.Internal, "store: row %c%v is damaged", key[0], chat.RoomID(key).LogValue())
}
