package function_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/wait/waittest"
)

func answering(function.Deps) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
}

// started is an instance on a log and an empty store.
func started(t *testing.T, s function.Spec, c kafka.Config) *function.Instance {
	t.Helper()
	f := s.Instance()
	if err := f.Start(t.Context(), map[string]string{"KNATTER_STORE": "memory:", "KNATTER_BROKERS": strings.Join(c.Brokers, ",")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return f
}

// What appends is not ready while it cannot; what only reads the log is.
func TestReadyWithoutTheLog(t *testing.T) {
	cluster, c := kafkatest.Cluster(t)
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	appends := started(t, function.Spec{Requests: answering, Needs: function.Needs{Log: true, Appends: true}}, c)
	reads := started(t, function.Spec{Requests: answering, Needs: function.Needs{Log: true}}, c)
	for _, f := range []*function.Instance{appends, reads} {
		if ready, err := f.Ready(t.Context()); !ready || err != nil {
			t.Errorf("ready is %t, %v", ready, err)
		}
	}
	cluster.Close()
	waittest.Until(t, "what appends is not ready without the log", func() bool {
		ready, err := appends.Ready(t.Context())
		return !ready && chat.KindOf(err) == chat.Unavailable
	})
	if ready, err := reads.Ready(t.Context()); !ready || err != nil {
		t.Errorf("what reads, without the log: ready is %t, %v", ready, err)
	}
}

// An instance whose log is made anew has to be started anew.
func TestNotAliveOnAnotherLog(t *testing.T) {
	_, c := kafkatest.Cluster(t)
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	f := started(t, function.Spec{Requests: answering, Needs: function.Needs{Log: true}}, c)
	if alive, err := f.Alive(t.Context()); !alive || err != nil {
		t.Fatalf("alive is %t, %v", alive, err)
	}
	client, err := kgo.NewClient(c.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).DeleteTopic(t.Context(), chat.TopicRooms); err != nil {
		t.Fatal(err)
	}
	if err := kafka.EnsureTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the instance is not alive on another log", func() bool {
		alive, err := f.Alive(t.Context())
		return !alive && chat.KindOf(err) == chat.Conflict
	})
}

// What an instance does beside its requests ends before its stores are closed.
func TestBackground(t *testing.T) {
	ended := make(chan error, 1)
	f := function.Spec{Requests: answering, Background: func(ctx context.Context, d function.Deps) {
		<-ctx.Done()
		_, err := d.Progress.Lineage(context.Background())
		ended <- err
	}}.Instance()
	if err := f.Start(t.Context(), map[string]string{"KNATTER_STORE": "memory:"}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended before the instance was stopped: %v", err)
	default:
	}
	if err := f.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the stores at its end: %v", err)
		}
	default:
		t.Error("it did not end")
	}
}
