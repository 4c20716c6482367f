package embedded

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
)

// What is beyond the size to keep is dropped as far as persist and index have both
// read it, and no further.
func TestTrim(t *testing.T) {
	const keep = 1 << 20
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "log")} {
		t.Run(fmt.Sprintf("in a directory: %t", dir != ""), func(t *testing.T) {
			b, c := open(t, Options{Dir: dir})
			if dir != "" { // as after a restart: what is there already has marks too
				fill(t, c, 500)
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				b, c = open(t, Options{Dir: dir})
			}
			defer func() { _ = b.Close() }()
			trim := trimmer{b: b, keep: keep, marks: make(map[int32]*marks)}
			trim.trim()
			for range 20 {
				fill(t, c, 100)
				trim.trim()
			}
			partition, end := fullest(b)
			check := func(want string, low, high int64) {
				t.Helper()
				trim.trim()
				if at := b.cluster.PartitionInfo(chat.TopicRooms, partition); at.LogStartOffset < low || at.LogStartOffset > high {
					t.Errorf("%s: begins at %d, want %d to %d", want, at.LogStartOffset, low, high)
				}
			}
			check("nobody has read", 0, 0)
			commit(t, c, chat.Persist.Group, partition, end)
			check("index has not read", 0, 0)
			commit(t, c, chat.Index.Group, partition, 100)
			check("index has read some", 100, 100)
			commit(t, c, chat.Index.Group, partition, end)
			trim.trim()
			at := b.cluster.PartitionInfo(chat.TopicRooms, partition)
			if at.NumBytes < keep || at.NumBytes > keep+keep/8 || at.LogStartOffset <= 100 || at.HighWatermark != end {
				t.Errorf("%d bytes from %d to %d are kept, want %d", at.NumBytes, at.LogStartOffset, at.HighWatermark, keep)
			}
		})
	}
}

// fill appends messages of 2 KB to one room.
func fill(t *testing.T, c kafka.Config, n int) {
	t.Helper()
	log, err := kafka.NewLog(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for i := range n {
		e := event(fmt.Sprint(i), "room")
		if err := log.Append(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
	}
}

func fullest(b *Broker) (partition int32, end int64) {
	for _, p := range b.cluster.PartitionInfos(chat.TopicRooms) {
		if p.HighWatermark > end {
			partition, end = p.Partition, p.HighWatermark
		}
	}
	return partition, end
}

func commit(t *testing.T, c kafka.Config, group string, partition int32, offset int64) {
	t.Helper()
	client, err := kgo.NewClient(c.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	offsets := make(kadm.Offsets)
	offsets.AddOffset(chat.TopicRooms, partition, offset, -1)
	if err := kadm.NewClient(client).CommitAllOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
}
