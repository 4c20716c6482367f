package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
)

// said returns what is logged while f runs.
func said(t *testing.T, f func()) string {
	t.Helper()
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	defer slog.SetDefault(before)
	f()
	return out.String()
}

// posts appends messages to seven rooms and returns what was acknowledged, by id.
func posts(t *testing.T, p *parts, name string, n int) map[string]chat.Sequence {
	t.Helper()
	acked := make(map[string]chat.Sequence, n)
	for i := range n {
		e, err := chat.NewEvent(fmt.Sprint(name, "-", i), "alice", chat.MessagePosted, chat.RoomID(fmt.Sprint("room-", i%7)), chat.Posted{Text: fmt.Sprint("회의록 ", name, i)})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.log.Append(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		acked[e.ID] = e.Sequence
	}
	return acked
}

// kept are the sequences of the stored messages, by id.
func kept(t *testing.T, p *parts) map[string]chat.Sequence {
	t.Helper()
	all := make(map[string]chat.Sequence)
	err := p.stores.Events.Scan(t.Context(), func(messages []chat.Event) error {
		for _, m := range messages {
			all[m.ID] = m.Sequence
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// indexed is how many messages the index has.
func indexed(t *testing.T, cfg config) int {
	t.Helper()
	messages := make(map[string]bool)
	for _, posting := range dump(t, cfg) {
		messages[posting[strings.LastIndexByte(posting, '{'):]] = true
	}
	return len(messages)
}

// newest is the newest of the files that match a pattern below a directory.
func newest(t *testing.T, dir, pattern string) string {
	t.Helper()
	var file string
	var size int64
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ok, err := filepath.Match(pattern, e.Name()); err != nil || !ok {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() > size {
			file, size = path, info.Size()
		}
		return err
	})
	if err != nil || file == "" {
		t.Fatal(file, err)
	}
	return file
}

func cutEnd(t *testing.T, file string, bytes int64) {
	t.Helper()
	info, err := os.Stat(file)
	if err == nil {
		err = os.Truncate(file, info.Size()-bytes)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A log that has lost what the store has begins a new generation: no sequence is
// given again, and nothing that is stored is hidden or overwritten.
func TestLogBehindItsStore(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, log string){
		"a segment's end": func(t *testing.T, log string) {
			segment := newest(t, filepath.Join(log, "partitions"), "*.dat")
			if !strings.Contains(segment, chat.TopicRooms) {
				t.Fatal(segment)
			}
			cutEnd(t, segment, 7)
		},
		"a partition": func(t *testing.T, log string) {
			if err := os.RemoveAll(filepath.Join(log, "partitions", chat.TopicRooms+"-1")); err != nil {
				t.Fatal(err)
			}
		},
		"everything": func(t *testing.T, log string) {
			if err := os.RemoveAll(log); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config{data: t.TempDir(), retention: 64 << 20}
			var acked map[string]chat.Sequence
			follow(t, cfg, func(p *parts) { acked = posts(t, p, "before", 100) })
			for generation := 1; generation <= 2; generation++ {
				log := filepath.Join(cfg.data, "log")
				lose(t, log)
				// Who knows how far it was would fill it up.
				for _, path := range []string{log + ".ledger", filepath.Join(log, "groups.log")} {
					if err := os.RemoveAll(path); err != nil {
						t.Fatal(err)
					}
				}
				what := said(t, func() {
					follow(t, cfg, func(p *parts) {
						fresh := posts(t, p, fmt.Sprint("after-", generation), 30)
						for id, s := range fresh {
							if s.Generation() != generation {
								t.Errorf("%s has sequence %s, want one of generation %d", id, s, generation)
							}
						}
						maps.Copy(acked, fresh)
					})
				})
				if !strings.Contains(what, "begins a new generation") {
					t.Errorf("it was not said: %s", what)
				}
			}
			follow(t, cfg, func(p *parts) { // as it is: nothing more is begun
				if n := p.kafka.Lineage.Newest(); n != 2 {
					t.Errorf("generation %d without a loss", n)
				}
				maps.Copy(acked, posts(t, p, "last", 10))
			})
			follow(t, cfg, func(p *parts) {
				if got := kept(t, p); !maps.Equal(got, acked) {
					t.Errorf("%d messages are stored as acknowledged, want %d: %v", len(got), len(acked), got)
				}
			})
			if n := indexed(t, cfg); n != len(acked) {
				t.Errorf("%d of %d messages are indexed", n, len(acked))
			}
		})
	}
}

// A store that has lost what the log has gets it again.
func TestStoreBehindTheLog(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, store string){
		"the end of its log": func(t *testing.T, store string) {
			wal := newest(t, store, "*.log")
			info, err := os.Stat(wal)
			if err != nil {
				t.Fatal(err)
			}
			cutEnd(t, wal, info.Size()/2)
		},
		"a byte of its log": func(t *testing.T, store string) {
			wal := newest(t, store, "*.log")
			data, err := os.ReadFile(wal)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 0x10
			if err := os.WriteFile(wal, data, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"everything": func(t *testing.T, store string) {
			if err := errors.Join(os.RemoveAll(store), os.Mkdir(store, 0o700)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config{data: t.TempDir(), retention: 64 << 20}
			var acked map[string]chat.Sequence
			follow(t, cfg, func(p *parts) { acked = posts(t, p, "first", 10) })
			follow(t, cfg, func(p *parts) { maps.Copy(acked, posts(t, p, "then", 200)) })
			store := filepath.Join(cfg.data, "store")
			lose(t, store)
			if p, err := openParts(t.Context(), cfg); err != nil {
				// Damage in front of what is whole the store tells from a lost end.
				if name != "a byte of its log" || !strings.Contains(err.Error(), store) {
					t.Fatal(err)
				}
				return
			} else if err := p.close(); err != nil {
				t.Fatal(err)
			}
			follow(t, cfg, func(*parts) {})
			follow(t, cfg, func(p *parts) {
				if got := kept(t, p); !maps.Equal(got, acked) {
					t.Errorf("%d of %d messages are stored", len(got), len(acked))
				}
			})
			if n := indexed(t, cfg); n != len(acked) {
				t.Errorf("%d of %d messages are indexed", n, len(acked))
			}
		})
	}
}

// What neither the store nor the log has is said, once for each partition and store.
func TestWhatTheLogNoLongerHas(t *testing.T) {
	cfg := config{data: t.TempDir(), retention: 64 << 20}
	follow(t, cfg, func(p *parts) { posts(t, p, "before", 100) })
	for partition := range partitions {
		trimFile(t, filepath.Join(cfg.data, "log", "partitions", fmt.Sprint(chat.TopicRooms, "-", partition)), 3)
	}
	quiet := said(t, func() { follow(t, cfg, func(*parts) {}) })
	if strings.Contains(quiet, "no longer has") {
		t.Errorf("said although nothing is missing: %s", quiet)
	}
	store := filepath.Join(cfg.data, "store")
	if err := errors.Join(os.RemoveAll(store), os.Mkdir(store, 0o700)); err != nil {
		t.Fatal(err)
	}
	what := said(t, func() { follow(t, cfg, func(*parts) {}) })
	lines := slices.DeleteFunc(strings.Split(what, "\n"), func(l string) bool { return !strings.Contains(l, "no longer has") })
	if len(lines) != 2*partitions {
		t.Errorf("said %d times: %s", len(lines), what)
	}
}

// While persist and index stand still nothing that was acknowledged is dropped: at
// some time events are refused.
func TestStalledFunctionsLoseNothing(t *testing.T) {
	cfg := config{data: t.TempDir(), retention: 4 << 20}
	p, err := openParts(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	acked := make(map[string]chat.Sequence)
	var mu sync.Mutex
	var g errgroup.Group
	for w := range 8 {
		g.Go(func() error {
			for i := 0; ; i++ {
				id := fmt.Sprint(w, "-", i)
				e, err := chat.NewEvent(id, "alice", chat.MessagePosted, chat.RoomID(fmt.Sprint("room-", w)), chat.Posted{Text: strings.Repeat("x", 4000)})
				if err == nil {
					err = p.log.Append(t.Context(), &e)
				}
				if err != nil {
					return err
				}
				mu.Lock()
				acked[id] = e.Sequence
				mu.Unlock()
			}
		})
	}
	if err := g.Wait(); chat.KindOf(err) != chat.Unavailable || err == nil {
		t.Errorf("got %v, want Unavailable", err)
	}
	if err := p.log.Ready(t.Context()); err == nil {
		t.Error("it is ready")
	}
	time.Sleep(1500 * time.Millisecond) // the log is trimmed once a second, and must drop nothing here
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d acknowledged", len(acked))
	follow(t, cfg, func(*parts) {})
	follow(t, cfg, func(p *parts) {
		if got := kept(t, p); !maps.Equal(got, acked) {
			t.Errorf("%d of %d acknowledged messages are stored", len(got), len(acked))
		}
		if err := p.log.Ready(t.Context()); err != nil {
			t.Errorf("when all is stored: %v", err)
		}
	})
}

// trimFile drops the batches before an offset, as retention does in time.
func trimFile(t *testing.T, dir string, offset uint64) {
	t.Helper()
	segment := filepath.Join(dir, "0.dat")
	data, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	for binary.BigEndian.Uint64(data) < offset {
		data = data[12+binary.BigEndian.Uint32(data[8:]):]
	}
	later := filepath.Join(dir, fmt.Sprint(binary.BigEndian.Uint64(data), ".dat"))
	if err := errors.Join(os.WriteFile(later, data, 0o600), os.Remove(segment)); err != nil {
		t.Fatal(err)
	}
}
