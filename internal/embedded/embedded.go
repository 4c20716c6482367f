// Package embedded is the log inside a process: franz-go's kfake, and what a log
// that people rely on needs beside it: who may use its directory, whether what is in
// it is whole, and that what it acknowledges stays.
//
// kfake writes an event to a file before it acknowledges it, which the end of the
// process doesn't undo, but a power cut does. It can sync each batch, in the one
// goroutine that does everything: at 2,000 messages/s of 2 KB the median until
// receipt went from 22 to 408 ms. So the syncing is done here, between kfake and
// its clients: an answer to an append is held back until the files that it was
// written to are synced, and so is one that brings events to who follows the log. What gathers meanwhile, of all connections, shares the
// next round.
package embedded

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/listen"
)

// Options say how the log is kept. The zero value is in memory.
type Options struct {
	Dir    string // "" for memory
	Keep   int64  // bytes of each partition of chat.rooms, 0 for all; what persist and index have yet to read is kept too
	NoSync bool   // acknowledge what a power cut would lose

	// Private is a log that nobody reads without its secret; else everybody on the
	// machine may. Nobody writes without it.
	Private bool

	sync func(*os.File) error // instead of the file's own, for tests
}

// Broker is the embedded log.
type Broker struct {
	cluster *kfake.Cluster
	dir     string        // "" for memory
	stop    chan struct{} // closed when it stops
	running sync.WaitGroup
	lock    io.Closer // of the log's directory
	ledger  *Ledger   // nil in memory, and before Settle
	syncer  *syncer   // nil where nothing is synced
	free    free
	secret  string
	private bool
	guests  *guests
}

// passing are the topics that nobody reads after a restart, so what is
// acknowledged of them needs no sync.
var passing = []string{chat.TopicSignals, chat.TopicDeliveries}

// Start starts the log. It is to be stopped by Close.
func Start(o Options) (*Broker, error) {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID(ClusterID),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "60000"}),
	}
	b := &Broker{dir: o.Dir, stop: make(chan struct{}), private: o.Private, guests: newGuests()}
	var err error
	if o.Dir != "" {
		if b.lock, err = Lock(o.Dir); err != nil {
			return nil, err
		}
		// kfake makes files that everybody may read, with the secret in one of them.
		err := os.Chmod(o.Dir, 0o700)
		if err == nil {
			err = Prepare(o.Dir)
		}
		if err != nil {
			return nil, errors.Join(err, b.release())
		}
		opts = append(opts, kfake.DataDir(o.Dir))
	}
	if b.secret, err = secretOf(o.Dir); err != nil {
		return nil, errors.Join(fmt.Errorf("the log's secret: %w", err), b.release())
	}
	opts = append(append(opts, kfake.ListenFn(b.listen)), b.access()...)
	if o.Dir != "" && !o.NoSync {
		b.syncer = newSyncer(o.Dir, o.sync)
	}
	if b.cluster, err = kfake.NewCluster(opts...); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded log: %w", err), b.release())
	}
	if err := b.grant(); err != nil {
		b.cluster.Close()
		return nil, errors.Join(fmt.Errorf("embedded log: what readers may do: %w", err), b.release())
	}
	if o.Keep > 0 {
		t := &trimmer{b: b, keep: o.Keep, marks: make(map[int32]*marks)}
		b.running.Go(t.run)
	}
	return b, nil
}

// release lets go of the directory.
func (b *Broker) release() (err error) {
	if b.syncer != nil {
		err = b.syncer.close()
	}
	if b.ledger != nil {
		err = errors.Join(err, b.ledger.Close())
	}
	if b.lock != nil {
		err = errors.Join(err, b.lock.Close())
	}
	return err
}

func (b *Broker) listen(network, address string) (net.Listener, error) {
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return &listener{Listener: listen.New(ln, connections()), b: b}, nil
}

// connections are as many as our own clients need, and some: guests make room for
// others, so they never keep anybody out. Each of our own is two files.
func connections() listen.Limits {
	total := maxConnections
	if all := listen.Defaults().Total; all > 0 {
		total = max(minConnections, min(all/12, maxConnections))
	}
	return listen.Limits{Total: total}
}

const (
	minConnections = 64
	maxConnections = 256
)

func (b *Broker) stopped() bool {
	select {
	case <-b.stop:
		return true
	default:
		return false
	}
}

// Settle is to be called when the topics are there: it makes that they are there
// after a power cut too. What is appended before waits for a sync of everything.
func (b *Broker) Settle() (err error) {
	if b.dir != "" {
		if err := KeepTopics(b.dir); err != nil {
			return err
		}
		if b.ledger, err = OpenLedger(filepath.Dir(b.dir), func() Places { return LookAt(b.cluster) }); err != nil {
			return err
		}
	}
	if b.syncer == nil {
		return nil
	}
	ids := make(map[[16]byte]bool)
	for _, name := range passing {
		if t := b.cluster.TopicInfo(name); t != nil {
			ids[t.TopicID] = true
		}
	}
	b.free.ids.Store(&ids)
	return b.syncer.settle()
}

// Addrs are the addresses of the log, host:port.
func (b *Broker) Addrs() []string { return b.cluster.ListenAddrs() }

// Acked notes that an event was acknowledged: the next start makes sure that the log
// still has it.
func (b *Broker) Acked(partition int32, offset int64) {
	if b.ledger != nil && b.syncer != nil { // what is not synced may be lost: that is what --no-sync says
		b.ledger.Acked(partition, offset)
	}
}

// Err tells why nothing can be acknowledged any more, until a new start: a sync
// has failed, and after that nobody can say what is on the disk. Errors:
// Unavailable.
func (b *Broker) Err() error {
	if b.syncer == nil {
		return nil
	}
	return b.syncer.failure()
}

// Close stops the log. What it has was synced.
func (b *Broker) Close() error {
	close(b.stop)
	b.running.Wait() // kfake has no answers after its end
	if b.ledger != nil {
		b.ledger.Stop()
	}
	b.cluster.Close()
	return b.release()
}

// Trim drops what a partition of chat.rooms has below an offset.
func (b *Broker) Trim(partition int32, offset int64) error {
	return b.cluster.DeleteRecords(chat.TopicRooms, partition, offset)
}
