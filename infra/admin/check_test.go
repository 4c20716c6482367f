package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/embedded"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/open"
)

// someData is a directory of data with something in each part of it.
func someData(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := auth.LoadOrCreateKey(filepath.Join(dir, open.KeyFile)); err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // the second start makes tables of what the first one wrote
		broker, err := embedded.Start(embedded.Options{Dir: filepath.Join(dir, open.LogDir)})
		if err != nil {
			t.Fatal(err)
		}
		c := kafka.Config{Brokers: broker.Addrs(), SASL: broker.SASL(), Partitions: 4, Uncompressed: true, Acked: broker.Acked}
		if err := kafka.EnsureTopics(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if err := broker.Settle(); err != nil {
			t.Fatal(err)
		}
		log, err := kafka.NewLog(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		stores, err := open.Store(t.Context(), "pebble:"+filepath.Join(dir, open.StoreDir))
		if err != nil {
			t.Fatal(err)
		}
		e, err := chat.NewEvent("id", "alice", chat.MessagePosted, "room", chat.Posted{Text: strings.Repeat("text ", 100)})
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Append(t.Context(), &e); err != nil {
			t.Fatal(err)
		}
		if err := stores.Events.Put(t.Context(), []chat.Event{e}); err != nil {
			t.Fatal(err)
		}
		if err := stores.Sessions.Open(t.Context(), chat.Session{ID: fmt.Sprint(i), User: "alice", Expires: time.Now()}); err != nil {
			t.Fatal(err)
		}
		log.Close()
		if err := broker.Close(); err != nil {
			t.Fatal(err)
		}
		if err := stores.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// only is the one file of a pattern, or the last one.
func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return paths[len(paths)-1]
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[(at+len(data))%len(data)] ^= 0x20
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	dir := someData(t)
	code, out, complaint := admin(t, nil, "check", dir)
	if code != 0 || out != "everything is whole\n" {
		t.Fatalf("%d, %s%s", code, out, complaint)
	}
	for _, c := range []struct {
		file   string // that is damaged
		harm   func(t *testing.T, path string)
		mended bool // by --accept-loss
	}{
		{"log/partitions/chat.rooms-*/0.dat", func(t *testing.T, path string) { flip(t, path, -20) }, true},
		{"log/topics.json", func(t *testing.T, path string) { flip(t, path, 30) }, true},
		{"log/groups.log", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("garbage that is no entry"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"store/MANIFEST-*", func(t *testing.T, path string) { flip(t, path, 15) }, false},
		{"store/*.sst", func(t *testing.T, path string) { flip(t, path, 10) }, false},
		{"store/*.blob", func(t *testing.T, path string) { flip(t, path, 10) }, false},
		{"log.secret", func(t *testing.T, path string) { flip(t, path, -1) }, true},
		{"key.pem", func(t *testing.T, path string) { flip(t, path, 3) }, true},
	} {
		damaged := t.TempDir()
		if err := os.CopyFS(damaged, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		path := only(t, damaged, c.file)
		c.harm(t, path)
		code, out, _ := admin(t, nil, "check", damaged)
		if code != 1 || !strings.Contains(out, path) {
			t.Errorf("%s: %d, %s", c.file, code, out)
		}
		if again, out2, _ := admin(t, nil, "check", damaged); again != code || out2 != out {
			t.Errorf("%s: the check changes something: %s, then %s", c.file, out, out2)
		}
		if !c.mended {
			continue
		}
		if code, out, complaint := admin(t, nil, "check", "--accept-loss", damaged); code != 0 || !strings.HasSuffix(out, "mended\n") {
			t.Errorf("%s: mending: %d, %s%s", c.file, code, out, complaint)
		}
		if code, out, _ := admin(t, nil, "check", damaged); code != 0 {
			t.Errorf("%s: mended: %d, %s", c.file, code, out)
		}
	}
}

func TestCheckRefusesWhatIsNoData(t *testing.T) {
	for _, args := range [][]string{{"check"}, {"check", "a", "b"}, {"check", t.TempDir()}, {"check", filepath.Join(t.TempDir(), "missing")}} {
		if code, out, complaint := admin(t, nil, args...); code == 0 || out != "" || complaint == "" {
			t.Errorf("%v: %d, %s%s", args, code, out, complaint)
		}
	}
	dir := someData(t)
	lock, err := embedded.Lock(filepath.Join(dir, open.LogDir))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if code, _, complaint := admin(t, nil, "check", dir); code != 1 || !strings.Contains(complaint, "in use") {
		t.Errorf("a directory that is in use: %d, %s", code, complaint)
	}
}
