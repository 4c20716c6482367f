package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/serve"
)

// handled has the events that a function got.
type handled chan chat.Event

func (h handled) HandleEvents(_ context.Context, events []chat.Event) error {
	for _, e := range events {
		h <- e
	}
	return nil
}

func server(t *testing.T, h chat.Handler) string {
	t.Helper()
	s := httptest.NewServer(serve.Events(h, nil))
	t.Cleanup(s.Close)
	return s.URL
}

func get(url string) (int, string) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(b)
}

func TestDispatcher(t *testing.T) {
	c := kafkatest.Start(t)
	index, fanout := make(handled, 100), make(handled, 100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := l.Addr().String()
	l.Close()
	ctx, stop := context.WithCancel(t.Context())
	var log bytes.Buffer // to be read at the end
	code := make(chan int)
	p := newConfig().program()
	go func() {
		code <- p.Execute(ctx, []string{"--admin", admin}, []string{
			"KNATTER_BROKERS=" + strings.Join(c.Brokers, ","), "KNATTER_PARTITIONS=4", "KNATTER_STORE=memory:",
			"KNATTER_FUNCTION_INDEX=" + server(t, index), "KNATTER_FUNCTION_FANOUT=" + server(t, fanout),
		}, io.Discard, &log)
	}()
	until := func(path, want string) {
		t.Helper()
		for {
			status, body := get("http://" + admin + path)
			if status == http.StatusOK && strings.Contains(body, want) {
				return
			}
			select {
			case code := <-code:
				t.Fatalf("ended: %d, %s", code, &log)
			case <-time.After(time.Millisecond):
			}
		}
	}
	until("/readyz", "")
	kl := kafkatest.Log(t, c)
	for i := range 10 {
		e, err := chat.NewEvent(fmt.Sprint(i), "alice", chat.MessagePosted, "room", chat.Posted{Text: "hi"})
		if err != nil {
			t.Fatal(err)
		}
		if err := kl.Append(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
	}
	for _, function := range []handled{index, fanout} {
		seen := make(map[string]bool)
		for len(seen) < 10 {
			seen[(<-function).ID] = true
		}
	}
	for _, want := range []string{
		`knatter_function_lag_records{function="index"} 0`, `knatter_function_lag_records{function="fanout"} 0`,
		`knatter_function_events_total{function="fanout"} 10`, `knatter_function_dead_letters_total{function="fanout"} 0`,
	} {
		until("/metrics", want)
	}
	if _, body := get("http://" + admin + "/metrics"); strings.Contains(body, `function="persist"`) {
		t.Error("it follows for a function without a URL")
	}
	stop()
	if code := <-code; code != 0 {
		t.Errorf("exit code %d: %s", code, &log)
	}
}

func TestSettings(t *testing.T) {
	c := kafkatest.Start(t)
	brokers, store := "KNATTER_BROKERS="+strings.Join(c.Brokers, ","), "KNATTER_STORE=memory:"
	for _, test := range []struct {
		environ []string
		want    string
	}{
		{nil, "KNATTER_BROKERS"},
		{[]string{brokers, "KNATTER_FUNCTION_INDEX=http://index"}, "KNATTER_STORE"},
		{[]string{brokers, store}, "at least one of KNATTER_FUNCTION_PERSIST"},
		{[]string{brokers, "KNATTER_FUNCTION_INDEX=index"}, "KNATTER_FUNCTION_INDEX"},
		{[]string{brokers, store, "KNATTER_PARTITIONS=5", "KNATTER_FUNCTION_INDEX=http://index"}, "moves rooms"},
		{[]string{brokers, store, "KNATTER_MAX_TRIES=-1"}, "KNATTER_MAX_TRIES"},
	} {
		var complaint bytes.Buffer
		p := newConfig().program()
		if code := p.Execute(t.Context(), nil, test.environ, io.Discard, &complaint); code != 2 || !strings.Contains(complaint.String(), test.want) {
			t.Errorf("%v: exit code %d, %s", test.environ, code, &complaint)
		}
	}
}
