package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/guard"
	"knatter.dev/chat/internal/priority"
)

// health turns the database's troubles into errors. There are three sorts:
//
//   - The disk is nearly full: writes are refused until it is not.
//   - A flush or a compaction failed: the database tries again by itself; writes
//     are refused until it succeeds, instead of filling memory and stalling.
//   - The database can no longer say what is on the disk (its log or its manifest
//     was not written): every call fails from then on, and only a new start,
//     which recovers from the log, helps. The database wants the process to end
//     at this point; the rest of the process may have better things to do.
type health struct {
	fs      vfs.FS
	dir     string
	reserve uint64

	once   sync.Once
	failed chan struct{} // closed when the database has given up
	cause  error         // why; set before failed is closed

	background atomic.Pointer[error]
	full       atomic.Bool
	looked     atomic.Int64 // when the disk's free space was last looked at
	warned     atomic.Int64 // when a background error was last logged
}

func newHealth(fs vfs.FS, dir string, reserve uint64) *health {
	return &health{fs: fs, dir: dir, reserve: reserve, failed: make(chan struct{})}
}

func (h *health) fail(cause error) {
	h.once.Do(func() {
		slog.Error("the store has failed, restart the process", slog.String("dir", h.dir), slog.String("error", cause.Error()))
		h.cause = cause
		close(h.failed)
	})
}

// failure is nil while the database works. Errors: Unavailable.
func (h *health) failure() error {
	select {
	case <-h.failed:
		return chat.Errorf(chat.Unavailable, "the store in %s has failed: %w", h.dir, h.cause)
	default:
		return nil
	}
}

// writable is nil while writes can be taken. Errors: Unavailable.
func (h *health) writable() error {
	if err := h.failure(); err != nil {
		return err
	}
	if err := h.background.Load(); err != nil {
		return chat.Errorf(chat.Unavailable, "the store in %s cannot write: %w", h.dir, *err)
	}
	if once(&h.looked, time.Second) {
		usage, err := h.fs.GetDiskUsage(h.dir)
		h.full.Store(err == nil && usage.TotalBytes > 0 && usage.AvailBytes < h.reserve)
	}
	if h.full.Load() {
		return chat.Errorf(chat.Unavailable, "the disk of %s is full: less than %d MiB are free", h.dir, h.reserve>>20)
	}
	return nil
}

// once reports whether the last time that it said yes is an interval ago.
func once(last *atomic.Int64, interval time.Duration) bool {
	now, then := time.Now().UnixNano(), last.Load()
	return now-then >= int64(interval) && last.CompareAndSwap(then, now)
}

// run calls f, which may write, in a goroutine of its own: when the database
// gives up, inside f or elsewhere, f may never return, and run does. The
// goroutine ends with f.
func (h *health) run(f func() error) error {
	done := make(chan error, 1)
	go func() {
		panicked := true
		err := guard.Call(context.Background(), slog.Default(), "the database", func() error {
			err := f()
			panicked = false
			return err
		})
		if panicked {
			h.fail(err)
			return
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			err = h.failure()
		}
		return err
	case <-h.failed:
		return h.failure()
	}
}

var _ pebble.Logger = (*health)(nil)

// Infof implements [pebble.Logger].
func (h *health) Infof(format string, args ...any) { h.log(slog.LevelDebug, format, args) }

// Errorf implements [pebble.Logger].
func (h *health) Errorf(format string, args ...any) { h.log(slog.LevelWarn, format, args) }

// Fatalf implements [pebble.Logger]: it must not return, since the database does
// not know how to go on.
func (h *health) Fatalf(format string, args ...any) {
	h.fail(fmt.Errorf(format, args...))
	runtime.Goexit()
}

func (h *health) log(level slog.Level, format string, args []any) {
	if slog.Default().Enabled(context.Background(), level) {
		slog.Log(context.Background(), level, "store", slog.String("detail", fmt.Sprintf(format, args...)))
	}
}

func (h *health) listener() *pebble.EventListener {
	ended := func(err error) {
		if err == nil {
			h.background.Store(nil)
		}
	}
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			if errors.Is(err, pebble.ErrCancelledCompaction) {
				return
			}
			h.background.Store(&err)
			if once(&h.warned, time.Second) { // a failing flush is tried again at once
				slog.Error("the store cannot write", slog.String("dir", h.dir), slog.String("error", err.Error()))
			}
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			// The call that reads the damaged table gets the error; others need not fail.
			slog.Error("the store is damaged", slog.String("dir", h.dir), slog.String("file", info.Path), slog.String("error", info.Details.Error()))
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			slog.Warn("the store is behind and stalls writes", slog.String("reason", info.Reason))
		},
		// Both are in the goroutine that does the work, which ends with it.
		FlushBegin:      func(pebble.FlushInfo) { priority.Lower() },
		CompactionBegin: func(pebble.CompactionInfo) { priority.Lower() },
		FlushEnd:        func(info pebble.FlushInfo) { ended(info.Err) },
		CompactionEnd:   func(info pebble.CompactionInfo) { ended(info.Err) },
	}
}
