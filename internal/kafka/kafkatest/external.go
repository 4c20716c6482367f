package kafkatest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/wait"
)

// marker is the topic that marks brokers as being for tests, so that nobody loses a
// chat to an environment variable.
const marker = "knatter.tests"

// external returns the brokers that KNATTER_TEST_BROKERS names, if it is set,
// configured by the other variables of [open.LogConfig]. The test has the brokers to
// itself until it ends, also among tests of other packages, and finds no topics and
// groups on them.
func external(t testing.TB) (kafka.Config, bool) {
	t.Helper()
	brokers := os.Getenv("KNATTER_TEST_BROKERS")
	if brokers == "" {
		return kafka.Config{}, false
	}
	env := map[string]string{"KNATTER_BROKERS": brokers}
	for _, setting := range os.Environ() {
		name, value, _ := strings.Cut(setting, "=")
		if strings.HasPrefix(name, "KNATTER_SASL_") || strings.HasPrefix(name, "KNATTER_TLS") {
			env[name] = value
		}
	}
	c, err := open.LogConfig(env)
	if err != nil {
		t.Fatal(err)
	}
	alone(t)
	clean(t, c)
	c = small(c)
	c.Timeout = 10 * time.Second
	return c, true
}

// alone waits until no other test uses the brokers.
func alone(t testing.TB) {
	t.Helper()
	lock, err := os.Create(filepath.Join(os.TempDir(), "knatter-test-brokers.lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

// clean deletes what earlier tests have left.
func clean(t testing.TB, c kafka.Config) {
	t.Helper()
	client, err := kgo.NewClient(c.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, "chat.") {
			ours = append(ours, name)
		}
	}
	if !topics.Has(marker) {
		if len(ours) > 0 {
			t.Fatalf("the brokers have a chat (%v), which the tests would delete. If they may, create the topic %s", ours, marker)
		}
		if _, err := admin.CreateTopic(t.Context(), 1, -1, nil, marker); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			t.Fatal(err)
		}
	}
	if len(ours) > 0 {
		deleted, err := admin.DeleteTopics(t.Context(), ours...)
		if err == nil {
			err = deleted.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
		gone(t, client, ours)
	}
	groups, err := admin.ListGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range groups.Groups() {
		if !strings.HasPrefix(group, "knatter-") && !strings.HasPrefix(group, "test-") {
			continue
		}
		disband(t, admin, group)
	}
}

// disband deletes a group. A group whose members have not left properly keeps them
// until their session times out.
func disband(t testing.TB, admin *kadm.Client, group string) {
	t.Helper()
	for {
		_, err := admin.DeleteGroup(t.Context(), group)
		switch {
		case err == nil, errors.Is(err, kerr.GroupIDNotFound):
			return
		case !errors.Is(err, kerr.NonEmptyGroup) && !errors.Is(err, kerr.CoordinatorLoadInProgress):
			t.Fatalf("group %s: %v", group, err)
		}
		wait.For(100*time.Millisecond, t.Context().Done())
	}
}

// gone waits until no broker knows the topics any longer.
func gone(t testing.TB, client *kgo.Client, topics []string) {
	t.Helper()
	for _, broker := range client.DiscoveredBrokers() {
		for {
			req := kmsg.NewPtrMetadataRequest()
			for _, name := range topics {
				topic := kmsg.NewMetadataRequestTopic()
				topic.Topic = &name
				req.Topics = append(req.Topics, topic)
			}
			answer, err := broker.Request(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			left := slices.ContainsFunc(answer.(*kmsg.MetadataResponse).Topics, func(topic kmsg.MetadataResponseTopic) bool {
				return topic.ErrorCode == 0
			})
			if !left {
				break
			}
			wait.For(10*time.Millisecond, t.Context().Done())
		}
	}
}
