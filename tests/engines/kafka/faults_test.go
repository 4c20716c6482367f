package kafka_test

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/wait/waittest"
	engine "knatter.dev/chat/tests/engines/kafka"
)

// topics makes the topics anew on a cluster.
func topics(t *testing.T, cluster *engine.Cluster) kafka.Config {
	t.Helper()
	for name, value := range cluster.Env() {
		t.Setenv(name, value)
	}
	t.Setenv("KNATTER_TEST_BROKERS", os.Getenv("KNATTER_BROKERS"))
	return kafkatest.Start(t)
}

// must fails the test.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// leader is the broker that leads a room's partition.
func leader(t *testing.T, cfg kafka.Config, room chat.RoomID) int {
	t.Helper()
	client, err := kgo.NewClient(cfg.Options()...)
	must(t, err)
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(t.Context(), chat.TopicRooms)
	must(t, err)
	partitions := topics[chat.TopicRooms].Partitions
	partition := kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(room)}, len(partitions))
	return int(partitions[int32(partition)].Leader)
}

func TestOneBrokerKilled(t *testing.T) {
	cluster := engine.StartCluster(t, engine.Options{Settings: map[string]string{
		"producer.id.expiration.check.interval.ms": "200",
		"broker.session.timeout.ms":                "2000", // for which it waits for itself, after a kill
	}})
	cfg := topics(t, cluster)
	cfg.Timeout = 2 * time.Second // so that some appends fail, and are sent again
	w := startWorkload(t, cfg)
	w.more(1000)
	for range 2 {
		must(t, cluster.Kill(1))
		time.Sleep(cfg.Timeout) // appends wait for that long, and then fail
		must(t, cluster.Restart(t.Context(), 1))
		w.more(500)
	}
	must(t, cluster.Stop(1)) // as in an upgrade
	must(t, cluster.Restart(t.Context(), 1))
	w.more(500)
	w.finish()

	// The same client goes on after the broker has forgotten it, which takes a day
	// unless it is told otherwise.
	set(t, cfg, "producer.id.expiration.ms", "500")
	time.Sleep(2 * time.Second) // and it has, without another request of the client
	e := w.event("room-0", 1_000_000)
	must(t, w.log.Append(t.Context(), e))
	again := w.event("room-0", 1_000_001)
	must(t, w.log.Append(t.Context(), again))
	if again.Sequence != e.Sequence+1 {
		t.Errorf("sequences %v and %v", e.Sequence, again.Sequence)
	}
}

// set changes a setting of all brokers while they run.
func set(t *testing.T, cfg kafka.Config, name, value string) {
	t.Helper()
	client, err := kgo.NewClient(cfg.Options()...)
	must(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{{Name: name, Value: &value}})
	must(t, err)
}

func setting(t *testing.T, cfg kafka.Config, topic, name string) string {
	t.Helper()
	client, err := kgo.NewClient(cfg.Options()...)
	must(t, err)
	defer client.Close()
	described, err := kadm.NewClient(client).DescribeTopicConfigs(t.Context(), topic)
	must(t, err)
	for _, config := range described[0].Configs {
		if config.Key == name {
			return config.MaybeValue()
		}
	}
	return ""
}

func TestThreeBrokersOneKilled(t *testing.T) {
	cluster := engine.StartCluster(t, engine.Options{Brokers: 3})
	cfg := topics(t, cluster)
	if n := setting(t, cfg, chat.TopicRooms, "min.insync.replicas"); n != "2" {
		t.Errorf("%s replicas have an event before it is acknowledged, want 2", n)
	}
	w := startWorkload(t, cfg)
	w.more(1000)

	first := leader(t, cfg, "room-0")
	must(t, cluster.Kill(first))
	w.more(500) // two go on without it
	must(t, cluster.Restart(t.Context(), first))
	w.more(500)

	// A leader's disk is lost: an empty one in its place is filled by the others.
	second := leader(t, cfg, "room-1")
	must(t, cluster.Kill(second))
	w.more(500)
	must(t, wipe(cluster.Dir(second)))
	must(t, cluster.Restart(t.Context(), second))
	w.more(500)
	inSync(t, cfg, 3)

	// So the one that was the last to have all alone may go too.
	third := leader(t, cfg, "room-2")
	must(t, cluster.Stop(third))
	w.more(500)
	must(t, cluster.Restart(t.Context(), third))
	w.finish()
}

// wipe removes a broker's share of the topics, and what it knows of them.
func wipe(dir string) error {
	for _, pattern := range []string{"chat.*", "*-checkpoint", ".kafka_cleanshutdown"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// inSync waits until all partitions of chat.rooms have so many replicas in sync.
func inSync(t *testing.T, cfg kafka.Config, n int) {
	t.Helper()
	client, err := kgo.NewClient(cfg.Options(kgo.MetadataMinAge(100 * time.Millisecond))...)
	must(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	var least int
	if !waittest.Holds(time.Minute, func() bool {
		topics, err := admin.ListTopics(t.Context(), chat.TopicRooms)
		must(t, err)
		least = n
		for _, p := range topics[chat.TopicRooms].Partitions {
			least = min(least, len(p.ISR))
		}
		return least == n
	}) {
		t.Fatalf("%d replicas in sync, want %d", least, n)
	}
}

// noise is a text that doesn't compress well.
func noise(n int) string {
	random := make([]byte, n)
	_, _ = rand.Read(random) // never fails
	return base64.StdEncoding.EncodeToString(random)[:n]
}

// The disk of a lone broker gets full. Kafka ends then; what it acknowledged is
// there when it has room again.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	disk := filepath.Join(dir, "broker-1")
	must(t, os.Mkdir(disk, 0o700))
	if os.Geteuid() != 0 {
		t.Skip("mounts a small disk: only root can")
	}
	if os.Getenv("KNATTER_SLOW") != "" {
		if err := mount(disk, 32); err != nil {
			t.Skip("a small disk cannot be mounted: ", err)
		}
		t.Cleanup(func() { must(t, unmount(disk)) })
	}
	cluster := engine.StartCluster(t, engine.Options{Dir: dir, Settings: map[string]string{"broker.session.timeout.ms": "2000"}})
	cfg := topics(t, cluster)
	cfg.Timeout = 4 * time.Second
	log := kafkatest.Log(t, cfg)

	var acked []*chat.Event
	var failure error
	for n := 0; failure == nil && n < 100_000; n += 50 {
		events := make([]*chat.Event, 50)
		for i := range events {
			e, err := chat.NewEvent(strconv.Itoa(n+i), "alice", chat.MessagePosted, "room", chat.Posted{Text: noise(3000)})
			must(t, err)
			events[i] = &e
		}
		if failure = log.Append(t.Context(), events...); failure == nil {
			acked = append(acked, events...)
		}
	}
	if chat.KindOf(failure) != chat.Unavailable {
		t.Errorf("a full disk fails with %v, want Unavailable", failure)
	}
	t.Logf("full after %d events: %v", len(acked), failure)

	must(t, enlarge(disk, 512))
	select {
	case <-cluster.Ended(1):
	case <-time.After(10 * time.Second):
		must(t, cluster.Kill(1))
	}
	must(t, cluster.Restart(t.Context(), 1))

	e, err := chat.NewEvent("after", "alice", chat.MessagePosted, "room", chat.Posted{Text: "room again"})
	must(t, err)
	must(t, log.Append(t.Context(), &e))
	tail, err := log.Tail(t.Context(), "room")
	must(t, err)
	held := make(map[chat.Sequence]string)
	for _, e := range tail {
		held[e.Sequence] = e.ID
	}
	for _, e := range append(acked, &e) {
		if held[e.Sequence] != e.ID {
			t.Fatalf("%s was acknowledged with %v, where there is %q", e.ID, e.Sequence, held[e.Sequence])
		}
	}
}
