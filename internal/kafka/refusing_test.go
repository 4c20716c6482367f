package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
)

// A partition that took no event is tried again by Ready, which fails until it takes
// one.
func TestReadyTriesWhatRefused(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	c := kafka.Config{Brokers: cluster.ListenAddrs(), Partitions: 4}
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	log, err := kafka.NewLog(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ends := func() (sum int64) {
		for _, p := range cluster.PartitionInfos(chat.TopicRooms) {
			sum += p.HighWatermark
		}
		return sum
	}
	full := true
	cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if !full {
			return nil, nil, false
		}
		req := r.(*kmsg.ProduceRequest)
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range req.Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				refused := kmsg.NewProduceResponseTopicPartition()
				refused.Partition, refused.ErrorCode = p.Partition, kerr.UnknownServerError.Code
				answer.Partitions = append(answer.Partitions, refused)
			}
			resp.Topics = append(resp.Topics, answer)
		}
		return resp, nil, true
	})
	before := ends()
	if err := log.Ready(t.Context()); err != nil || ends() != before {
		t.Fatalf("nothing was refused yet: %v, %d events more", err, ends()-before)
	}
	e, err := chat.NewEvent("id", "alice", chat.MessagePosted, "room", chat.Posted{Text: "text"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := log.Append(t.Context(), &e); chat.KindOf(err) != chat.Unavailable {
			t.Fatalf("append: %v", err)
		}
		if err := log.Ready(t.Context()); chat.KindOf(err) != chat.Unavailable {
			t.Errorf("ping while it refuses: %v", err)
		}
	}
	full = false
	for range 3 {
		if err := log.Ready(t.Context()); err != nil {
			t.Errorf("ping when it takes events again: %v", err)
		}
	}
	if more := ends() - before; more != 1 {
		t.Errorf("%d events were logged, want the one that proves it", more)
	}
}
