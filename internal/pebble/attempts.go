package pebble

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"knatter.dev/chat"
)

// Attempts is the attempt store.
type Attempts struct {
	s     *Store
	mu    sync.Mutex // counts are read, then written
	swept int64      // Unix time up to which ended windows were deleted
}

var _ chat.AttemptStore = (*Attempts)(nil)

// keepEnded is how long counts stay after their window, for clocks that differ;
// sweepEvery is how often ended windows are deleted. In seconds.
const (
	keepEnded  = 3600
	sweepEvery = 60
)

// Attempt implements [chat.AttemptStore]. Counts are not synced: they outlive the
// process, but not a power cut. Errors: Invalid without a window, Unavailable.
func (a *Attempts) Attempt(ctx context.Context, key string, window time.Duration, now time.Time) (int, error) {
	if window <= 0 {
		return 0, chat.Errorf(chat.Invalid, "the window must be positive")
	}
	if err := a.s.enter(ctx); err != nil {
		return 0, err
	}
	defer a.s.leave()
	a.mu.Lock()
	defer a.mu.Unlock()
	end := now.Truncate(window).Add(window)
	row := binary.BigEndian.AppendUint64([]byte{kindAttempt}, uint64(end.UnixNano()))
	row = binary.BigEndian.AppendUint64(row, uint64(window))
	row = append(row, key...)
	n := uint32(0)
	v, ok, err := a.s.get(row)
	if err != nil {
		return 0, err
	}
	if ok {
		if len(v) != 4 {
			return 0, damaged(row)
		}
		n = binary.BigEndian.Uint32(v)
	}
	n++
	b := a.s.db.NewBatch()
	_ = b.Set(row, binary.BigEndian.AppendUint32(nil, n), nil)
	if seconds := now.Unix() - keepEnded; seconds >= a.swept+sweepEvery {
		a.swept = seconds
		upTo := binary.BigEndian.AppendUint64([]byte{kindAttempt}, uint64(time.Unix(seconds, 0).UnixNano()))
		_ = b.DeleteRange([]byte{kindAttempt}, upTo, nil)
	}
	if err := a.s.commit(b, pebble.NoSync); err != nil {
		return 0, err
	}
	return int(n), nil
}
