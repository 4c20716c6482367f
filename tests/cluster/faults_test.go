package cluster

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"knatter.dev/chat"
)

// Pods of the event functions are killed under load: what they were doing is tried
// again.
func functionKilled(t *testing.T) {
	c := deployed(t)
	for _, f := range chat.EventFunctions {
		t.Run(f.Name, func(t *testing.T) {
			cr := c.crowd(t, 4)
			c.during(t, cr, func() {
				c.does(t, "delete", "pods", "-l", "serving.knative.dev/service=knatter-"+f.Name, "--grace-period=0", "--force")
			})
		})
	}
}

// The dispatcher is killed under load: the next one goes on at the last commit.
func dispatcherKilled(t *testing.T) {
	c := deployed(t)
	cr := c.crowd(t, 4)
	c.during(t, cr, func() {
		c.does(t, "delete", "pods", "-l", "app.kubernetes.io/name=dispatcher", "--grace-period=0", "--force")
		c.does(t, "rollout", "status", "deployment/dispatcher", "--timeout=2m")
	})
}

// An event that no function can take goes to the dead letters, and holds up nobody.
func poison(t *testing.T) {
	c := deployed(t)
	alice, bob := c.someone(t, 0, "alice"), c.someone(t, 1, "bob")
	room := c.room(t, alice, bob)
	bob.Sees(alice.Sends(room, "before"))

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dead, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.brokers, ",")...), kgo.ConsumeTopics("chat.dead"))
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	id := "poison-" + string(room)
	header := func(key, value string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: key, Value: []byte(value)}
	}
	poison := &kgo.Record{
		Topic: "chat.rooms", Key: []byte(room), Value: []byte(`{"connector":"not a number"}`),
		Headers: []kgo.RecordHeader{
			header("ce_specversion", "1.0"), header("ce_id", id), header("ce_source", "/connectors/0"), header("ce_type", string(chat.RouteOpened)),
			header("ce_subject", string(room)), header("ce_time", time.Now().UTC().Format(time.RFC3339)), header("ce_partitionkey", string(room)),
			header("content-type", "application/json"),
		},
	}
	begin := time.Now()
	if err := dead.ProduceSync(ctx, poison).FirstErr(); err != nil {
		t.Fatal(err)
	}
	after := alice.Sends(room, "after")
	passed := bob.Sees(after).Sub(begin)
	for {
		fetches := dead.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatal("the event is not among the dead letters")
		}
		for r := range fetches.RecordsAll() {
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			if headers["ce_id"] == id {
				t.Logf("dead letter after %v: refused by %s with %s; the next message was received %v after the poison", time.Since(begin).Round(time.Millisecond),
					headers["ce_knativeerrordest"], headers["ce_knativeerrorcode"], passed.Round(time.Millisecond))
				return
			}
		}
	}
}
