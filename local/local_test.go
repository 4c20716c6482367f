package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/wait/waittest"
)

// An index that is emptied and rebuilt equals the one of before: from the log
// alone, and from the store where the log begins later.
func TestReindex(t *testing.T) {
	cfg := config{data: t.TempDir(), retention: 64 << 20}
	follow(t, cfg, func(p *parts) {
		for i := range 300 {
			room := chat.RoomID(fmt.Sprint("room-", i%7))
			// Every tenth is sent twice, as after a lost connection.
			for range 1 + (i%10)/9 {
				e, err := chat.NewEvent(fmt.Sprint("id-", i), "alice", chat.MessagePosted, room,
					chat.Posted{Text: fmt.Sprintf("회의록 %d을 공유해 주세요, running", i)})
				if err != nil {
					t.Fatal(err)
				}
				if err := p.log.Append(t.Context(), &e); err != nil {
					t.Fatal(err)
				}
				// Some are edited, some of those again, and some are deleted.
				about := chat.About{Message: e.Sequence}
				changed(t, p, i%3 == 0, room, chat.MessageEdited, chat.Edited{About: about, Text: fmt.Sprint("고친 회의록 ", i)})
				changed(t, p, i%6 == 0, room, chat.MessageEdited, chat.Edited{About: about, Text: fmt.Sprint("다시 고친 회의록 ", i)})
				changed(t, p, i%5 == 0, room, chat.MessageDeleted, about)
			}
		}
	})
	before := dump(t, cfg)
	if len(before) < 300 {
		t.Fatalf("the index has %d postings only", len(before))
	}
	t.Run("from the log", func(t *testing.T) {
		follow(t, cfg, func(p *parts) {
			if err := p.stores.Index.Wipe(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left := postings(t, p); len(left) != 0 {
				t.Errorf("the index was not emptied: %d postings", len(left))
			}
			if _, err := kafka.Rewind(t.Context(), p.kafka, chat.Index.Group, kafka.Mark{}); err != nil {
				t.Fatal(err)
			}
		})
		if after := dump(t, cfg); !slices.Equal(before, after) {
			t.Errorf("the index has %d postings where it had %d", len(after), len(before))
		}
	})
	t.Run("from store and log", func(t *testing.T) {
		if err := os.RemoveAll(filepath.Join(cfg.data, "log")); err != nil {
			t.Fatal(err)
		}
		cfg := cfg
		cfg.reindex = true
		follow(t, cfg, func(*parts) {})
		cfg.reindex = false
		if after := dump(t, cfg); !slices.Equal(before, after) {
			t.Errorf("the index has %d postings where it had %d", len(after), len(before))
		}
	})
}

// changed logs what happened to a message, if anything did.
func changed(t *testing.T, p *parts, really bool, room chat.RoomID, typ chat.Type, data any) {
	t.Helper()
	if !really {
		return
	}
	e, err := chat.NewEvent(uuid.NewString(), "alice", typ, room, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.log.Append(t.Context(), &e); err != nil {
		t.Fatal(err)
	}
}

// An index that an earlier analysis has made is made anew at the start.
func TestIndexOfEarlierAnalysis(t *testing.T) {
	cfg := config{data: t.TempDir(), retention: 64 << 20}
	const n = 50
	follow(t, cfg, func(p *parts) {
		for i := range n {
			e, err := chat.NewEvent(fmt.Sprint("id-", i), "alice", chat.MessagePosted, "room", chat.Posted{Text: fmt.Sprint("ㅋㅋㅋㅠㅠ ", i)})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.log.Append(t.Context(), &e); err != nil {
				t.Fatal(err)
			}
		}
	})
	want := dump(t, cfg)
	stores, err := open.Store(t.Context(), storeURL(cfg))
	if err != nil {
		t.Fatal(err)
	}
	if err := stores.Index.Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = stores.Events.Scan(t.Context(), func(messages []chat.Event) error {
		var docs []chat.Document
		for _, e := range messages {
			docs = append(docs, chat.Document{Room: e.Stream.Room(), Sequence: e.Sequence, Source: e.Source, ID: e.ID, Time: e.Time, Terms: []string{"g큐"}})
		}
		return stores.Index.Put(t.Context(), docs)
	})
	if err = errors.Join(err, stores.Close()); err != nil {
		t.Fatal(err)
	}
	follow(t, cfg, func(*parts) {})
	if got := dump(t, cfg); !slices.Equal(got, want) {
		t.Errorf("the index has %d postings where it should have %d", len(got), len(want))
	}
}

// follow opens the parts, calls f, and lets the functions handle the whole log.
func follow(t *testing.T, cfg config, f func(*parts)) {
	t.Helper()
	p, err := openParts(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	f(p)
	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	for _, d := range p.dispatchers {
		g.Go(func() error { return d.Run(ctx) })
	}
	waittest.Until(t, "the functions have handled the log", func() bool { return !behind(t, p) })
	stop()
	_ = g.Wait() // the context's end
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
}

// behind reports whether any group has not committed the whole log.
func behind(t *testing.T, p *parts) bool {
	t.Helper()
	client, err := kgo.NewClient(p.kafka.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(t.Context(), chat.TopicRooms)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range chat.EventFunctions {
		committed, err := admin.FetchOffsets(t.Context(), f.Group)
		if err != nil {
			return true // the group is not there yet
		}
		for partition, end := range ends[chat.TopicRooms] {
			if at, ok := committed.Lookup(chat.TopicRooms, partition); !ok || at.At < end.Offset {
				return true
			}
		}
	}
	return false
}

func dump(t *testing.T, cfg config) []string {
	t.Helper()
	p, err := openParts(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close() }()
	return postings(t, p)
}

func postings(t *testing.T, p *parts) []string {
	t.Helper()
	var all []string
	err := p.stores.Index.Dump(t.Context(), func(room chat.RoomID, term string, hit chat.Hit) error {
		all = append(all, fmt.Sprint(room, term, hit))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // part of the error; "" for none
	}{
		{"", ""},
		{"--listen :1 --function search=http://localhost:2 --function persist=https://example.com/x", ""},
		{"--function nonsense=http://localhost:2", "must be name=url"},
		{"--function search=localhost:2", "must be a URL"},
		{"--function search", "must be name=url"},
		{"--ephemeral --store pebble:x", "goes with neither"},
		{"run", "unexpected argument"},
		{"--nonsense", "not defined: --nonsense"},
		{"-nonsense", "not defined: --nonsense"},
		{"--heartbeat -3s", "--heartbeat must be a time from 1s to 1h"},
		{"--heartbeat soon", "--heartbeat must be a time"},
		{"--heartbeat", "needs an argument: --heartbeat"},
		{"--retention 0", "--retention must be a number from 1048576"},
		{"--retention -1", ""},
		{"--retention -2", "--retention must be"},
		{"--heartbeat 5h --frames-per-second 7", "--heartbeat must be"},
		{"--function search=http://localhost:2 --function search=x", "--function must be name=url"},
		{"--connections -1", "--connections"},
		{"--private-log --brokers localhost:9092", "--private-log"},
		{"--version", ""},
		{"--trusted-proxies nowhere", "--trusted-proxies must be networks"},
	} {
		cfg := newConfig()
		p := cfg.program()
		p.Run = func(context.Context, program.Call) error { return cfg.check() }
		var complaint strings.Builder
		code := p.Execute(t.Context(), strings.Fields(c.args), nil, io.Discard, &complaint)
		if (code == 0) != (c.want == "") || !strings.Contains(complaint.String(), c.want) || strings.Count(complaint.String(), "\n") > 1 {
			t.Errorf("%s: %d, %q, want %q", c.args, code, &complaint, c.want)
		}
	}
}
