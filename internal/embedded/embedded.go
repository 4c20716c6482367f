// Package embedded runs the log inside a process. It is franz-go's kfake, and what a
// log that people rely on needs in addition: it controls who may use its directory,
// checks that the files are whole, and keeps what it has acknowledged.
//
// kfake writes an event to a file before it acknowledges it. That survives the end of
// the process, but not a power cut. kfake can sync each batch, in the one goroutine
// that does everything: at 2,000 messages/s of 2 KB, the median time until receipt went
// from 22 to 408 ms. So the syncing is done here, between kfake and its clients: an
// answer to an append is held back until the files that it was written to are synced,
// and so is an answer that has events for a consumer. Whatever gathers meanwhile, on
// all connections, shares the next round.
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

// Options configure the log. The zero value keeps it in memory.
type Options struct {
	Dir    string // "" for memory
	Keep   int64  // bytes to keep of each partition of chat.rooms, 0 for all; what persist and index have yet to read is always kept
	NoSync bool   // acknowledge events that a power cut could lose

	// Private denies reading to clients without the log's secret. Otherwise everybody
	// on the machine may read. Writing always takes the secret.
	Private bool

	sync func(*os.File) error // replaces the file's own Sync in tests
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

// passing are the transient topics: nobody reads them after a restart, so what is
// acknowledged in them needs no sync.
var passing = []string{chat.TopicSignals, chat.TopicDeliveries}

// Start starts the log. The caller must call Close.
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
		// kfake makes files readable by everybody, one of them with the secret.
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
		return nil, errors.Join(fmt.Errorf("embedded log: access of readers: %w", err), b.release())
	}
	if o.Keep > 0 {
		t := &trimmer{b: b, keep: o.Keep, marks: make(map[int32]*marks)}
		b.running.Go(t.run)
	}
	return b, nil
}

// release unlocks the directory.
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

// connections is the maximum number of connections: as many as our own clients need,
// and some more. Guests make room for others, so they never keep anybody out. Each
// connection of our own takes two files.
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

// Settle must be called when the topics exist. It makes sure that they survive a power
// cut. Until then every append waits for a sync of everything.
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

// Addrs returns the addresses of the log, as host:port.
func (b *Broker) Addrs() []string { return b.cluster.ListenAddrs() }

// Acked notes that an event was acknowledged. The next start checks that the log still
// has it.
func (b *Broker) Acked(partition int32, offset int64) {
	if b.ledger != nil && b.syncer != nil { // with --no-sync, events may be lost
		b.ledger.Acked(partition, offset)
	}
}

// Err returns the reason why nothing can be acknowledged until a restart: a sync has
// failed, after which nobody knows what is on the disk. Errors: Unavailable.
func (b *Broker) Err() error {
	if b.syncer == nil {
		return nil
	}
	return b.syncer.failure()
}

// Close stops the log. Everything in it is synced before.
func (b *Broker) Close() error {
	close(b.stop)
	b.running.Wait() // after its end kfake answers nothing
	if b.ledger != nil {
		b.ledger.Stop()
	}
	b.cluster.Close()
	return b.release()
}

// Trim drops the records of a partition of chat.rooms below an offset.
func (b *Broker) Trim(partition int32, offset int64) error {
	return b.cluster.DeleteRecords(chat.TopicRooms, partition, offset)
}
