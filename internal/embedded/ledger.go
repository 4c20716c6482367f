package embedded

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/sealed"
)

// Places says how far the partitions of chat.rooms are.
type Places struct {
	Ends    []int64 `json:"ends"`    // offsets after the last acknowledged event
	Handled []int64 `json:"handled"` // offsets below which the stores have everything
	Dead    int64   `json:"dead"`    // offset after the last dead letter
}

// LookAt returns the places of a running log.
func LookAt(cluster *kfake.Cluster) Places {
	var places Places
	for _, p := range cluster.PartitionInfos(chat.TopicRooms) {
		raise(&places.Ends, int(p.Partition), p.HighWatermark)
		raise(&places.Handled, int(p.Partition), p.HighWatermark)
	}
	for _, f := range chat.EventFunctions {
		var commits map[int32]kfake.GroupCommit
		if group := cluster.GroupInfo(f.Group); group != nil {
			commits = group.Commits[chat.TopicRooms]
		}
		for p, handled := range places.Handled {
			places.Handled[p] = min(handled, commits[int32(p)].Offset)
		}
	}
	for _, p := range cluster.PartitionInfos(chat.TopicDead) {
		places.Dead = max(places.Dead, p.HighWatermark)
	}
	return places
}

// at returns the element of a partition, or 0.
func at(of []int64, partition int) int64 {
	if partition < len(of) {
		return of[partition]
	}
	return 0
}

// raise sets the element of a partition if it is lower.
func raise(of *[]int64, partition int, to int64) {
	for len(*of) <= partition {
		*of = append(*of, 0)
	}
	(*of)[partition] = max((*of)[partition], to)
}

const (
	ledgerName  = "log.ledger"
	ledgerPause = 10 * time.Millisecond
	placesPause = time.Second
)

// Ledger records, in a file beside the log, how far the log is. Without it nobody could
// distinguish a log that has lost its end from one that never had it. The file is not
// synced. What it says was true when it was written, so after a power cut the log has
// at least that.
type Ledger struct {
	f      *os.File
	slots  *sealed.File
	look   func() Places
	stop   context.CancelFunc
	ended  chan struct{}
	wake   chan struct{}
	mu     sync.Mutex
	places Places
	dirty  bool // changed since it was written
	unseen bool // events were acknowledged since the last call of look
}

// OpenLedger opens the ledger of a log that has started. It calls look for how far the
// log is and what was handled: at the beginning, at the end, and once in each second in
// which something was acknowledged.
func OpenLedger(dir string, look func() Places) (*Ledger, error) {
	places := look()
	f, err := os.OpenFile(filepath.Join(dir, ledgerName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	count, _, err := sealed.Read(f, new(Places))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	running, stop := context.WithCancel(context.Background())
	l := &Ledger{
		f: f, slots: sealed.NewFile(f, count), look: look, stop: stop,
		ended: make(chan struct{}), wake: make(chan struct{}, 1), places: places, dirty: true,
	}
	if err := l.write(); err != nil {
		stop()
		return nil, errors.Join(err, f.Close())
	}
	go l.run(running)
	return l, nil
}

// Acked notes that the event at an offset was acknowledged.
func (l *Ledger) Acked(partition int32, offset int64) {
	l.mu.Lock()
	raise(&l.places.Ends, int(partition), offset+1)
	l.dirty, l.unseen = true, true
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Ledger) run(ctx context.Context) {
	defer close(l.ended)
	tick := time.NewTicker(placesPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-tick.C:
			l.ask()
		}
		if err := l.write(); err != nil {
			slog.Warn("writing the log's ledger failed", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(ledgerPause):
		}
	}
}

// ask updates the places.
func (l *Ledger) ask() {
	l.mu.Lock()
	unseen := l.unseen
	l.unseen = false
	l.mu.Unlock()
	if !unseen {
		return
	}
	places := l.look()
	l.mu.Lock()
	defer l.mu.Unlock()
	behind := false                   // ask again while something is being handled
	for p, end := range places.Ends { // of which some may not be on the disk yet
		raise(&l.places.Handled, p, at(places.Handled, p))
		behind = behind || at(places.Handled, p) < end
	}
	l.dirty, l.unseen = true, l.unseen || behind
}

// write writes the places if they have changed.
func (l *Ledger) write() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dirty {
		return nil
	}
	err := l.slots.Write(l.places)
	l.dirty = err != nil
	return err
}

// Stop ends the goroutine of the ledger, and reads the places a last time. The log must
// still be running.
func (l *Ledger) Stop() {
	l.stop()
	<-l.ended
	l.places, l.dirty = l.look(), true
}

// Close writes the places as of Stop. By now the log must be on the disk.
func (l *Ledger) Close() error {
	return errors.Join(l.write(), l.f.Sync(), l.f.Close())
}

// savePlaces writes places that a check has changed.
func (c *check) savePlaces() error {
	f, err := os.OpenFile(filepath.Join(c.data, ledgerName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(sealed.NewFile(f, c.count).Write(c.places), f.Sync(), f.Close())
}
