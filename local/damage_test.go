package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/wait/waittest"
)

// What a directory of data holds in these tests.
const (
	keptRooms    = 7
	keptMessages = 140
	keptAccounts = 6
)

// fillData fills a directory as two runs of a server do, the second of which ends as
// it should, or is killed with a few events unhandled.
func fillData(t *testing.T, killed bool) string {
	t.Helper()
	cfg := config{data: t.TempDir(), retention: 64 << 20}
	half := func(p *parts, from, to int) {
		for i := from; i < to; i++ {
			room := chat.RoomID(fmt.Sprint("room-", i%keptRooms))
			e, err := chat.NewEvent(fmt.Sprint("id-", i), "alice", chat.MessagePosted, room, chat.Posted{Text: fmt.Sprintf("회의록 %d을 공유해 주세요 %s", i, strings.Repeat("running ", i%40))})
			if err == nil {
				err = p.log.Append(t.Context(), &e)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	people := func(p *parts, from, to int) {
		for i := from; i < to; i++ {
			user := chat.UserID(fmt.Sprint("user-", i))
			err := p.stores.Accounts.Create(t.Context(), chat.Account{ID: user, Email: fmt.Sprintf("%d@damage.test", i), Nickname: "n", Created: time.Now()})
			if err == nil {
				err = p.stores.Sessions.Open(t.Context(), chat.Session{ID: fmt.Sprint("session-", i), User: user, Expires: time.Now().Add(time.Hour)})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	follow(t, cfg, func(p *parts) { people(p, 0, keptAccounts/2); half(p, 0, keptMessages/2) })
	if !killed {
		follow(t, cfg, func(p *parts) { people(p, keptAccounts/2, keptAccounts); half(p, keptMessages/2, keptMessages) })
		return cfg.data
	}
	p, err := openParts(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close() }()
	people(p, keptAccounts/2, keptAccounts)
	half(p, keptMessages/2, keptMessages-10)
	handle(t, p)
	half(p, keptMessages-10, keptMessages)
	time.Sleep(100 * time.Millisecond) // the ledger is written 10 ms after an ack
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(cfg.data)); err != nil {
		t.Fatal(err)
	}
	return copied
}

// handle lets the functions handle what there is.
func handle(t *testing.T, p *parts) bool {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var g errgroup.Group
	for _, d := range p.dispatchers {
		g.Go(func() error { return d.Run(ctx) })
	}
	done := waittest.Holds(20*time.Second, func() bool { return !behind(t, p) })
	stop()
	_ = g.Wait() // the context's end
	return done
}

// left looks what a directory still holds: what is missing, or the reason if it is
// refused.
func left(t *testing.T, dir string) (missing []string, refused error) {
	t.Helper()
	p, err := openParts(t.Context(), config{data: dir, retention: 64 << 20})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := p.close(); err != nil {
			missing = append(missing, "it does not close: "+err.Error())
		}
	}()
	if !handle(t, p) {
		missing = append(missing, "the functions do not get through the log")
	}
	ids := make(map[string]int)
	for r := range keptRooms {
		room := chat.RoomID(fmt.Sprint("room-", r))
		events, _, err := p.stores.Events.Events(t.Context(), room, chat.Range{Limit: 1000})
		if err != nil {
			missing = append(missing, fmt.Sprint(room, ": ", err))
		}
		for _, e := range events {
			ids[e.ID]++
		}
	}
	indexed := make(map[chat.Hit]bool)
	if err := p.stores.Index.Dump(t.Context(), func(room chat.RoomID, _ string, hit chat.Hit) error {
		indexed[hit] = true
		return nil
	}); err != nil {
		missing = append(missing, "index: "+err.Error())
	}
	if len(indexed) != keptMessages {
		missing = append(missing, fmt.Sprint(len(indexed), " messages in the index"))
	}
	for i := range keptMessages {
		if id := fmt.Sprint("id-", i); ids[id] != 1 {
			missing = append(missing, fmt.Sprint(id, " is there ", ids[id], " times"))
		}
	}
	for i := range keptAccounts {
		_, err := p.stores.Accounts.Account(t.Context(), chat.UserID(fmt.Sprint("user-", i)))
		if _, serr := p.stores.Sessions.Session(t.Context(), fmt.Sprint("session-", i)); err != nil || serr != nil {
			missing = append(missing, fmt.Sprint("user-", i, ": ", errors.Join(err, serr)))
		}
	}
	return missing, nil
}

// damage does something to one random file or directory below a directory.
func damage(t *testing.T, r *rand.Rand, dir string) (what, name string) {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != dir {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	path := names[r.IntN(len(names))]
	name = strings.TrimPrefix(path, dir+"/")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	kind := r.IntN(3)
	if info.IsDir() || info.Size() == 0 {
		kind = 0
	}
	switch kind {
	case 0:
		what, err = "removed", os.RemoveAll(path)
	case 1:
		size := r.Int64N(info.Size())
		what, err = fmt.Sprintf("cut from %d to %d bytes", info.Size(), size), os.Truncate(path, size)
	default:
		var data []byte
		if data, err = os.ReadFile(path); err == nil {
			at := r.IntN(len(data))
			bit := byte(1) << r.IntN(8)
			data[at] ^= bit
			what, err = fmt.Sprintf("byte %d of %d flipped by %#x", at, len(data), bit), os.WriteFile(path, data, info.Mode())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return what, name
}

// Whatever happens to one file or directory, everything is still there afterwards,
// or the start is refused, with the name of what is damaged. Nothing is ever
// silently less.
func TestDamage(t *testing.T) {
	rounds := 16
	if os.Getenv("KNATTER_SLOW") == "1" {
		rounds = 200
	}
	templates := []string{fillData(t, false), fillData(t, true)}
	for _, dir := range templates {
		untouched := t.TempDir()
		if err := os.CopyFS(untouched, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if missing, refused := left(t, untouched); refused != nil || len(missing) > 0 {
			t.Fatalf("without damage: %v, %v", refused, missing)
		}
	}
	refusals := 0
	for round := range rounds {
		seed := uint64(round)
		r := rand.New(rand.NewPCG(seed, 7))
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(dir, os.DirFS(templates[round%2])); err != nil {
			t.Fatal(err)
		}
		what, name := damage(t, r, dir)
		missing, refused := left(t, dir)
		state := []string{"stopped", "killed"}[round%2]
		switch {
		case len(missing) > 0:
			t.Errorf("round %d (%s): %s %s: %d things are missing: %s", round, state, name, what, len(missing), strings.Join(missing[:min(3, len(missing))], "; "))
		case refused != nil && !strings.Contains(refused.Error(), filepath.Base(name)) && !strings.Contains(refused.Error(), filepath.Dir(name)):
			t.Errorf("round %d (%s): %s %s: refused without its name: %v", round, state, name, what, refused)
		case refused != nil:
			refusals++
			t.Logf("round %d (%s): %s %s: refused: %v", round, state, name, what, refused)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d rounds were refused", refusals, rounds)
}

// A store that was begun anew has all that the log has, but no accounts; that is
// only done when it was asked for.
func TestNewStore(t *testing.T) {
	dir := fillData(t, false)
	store := filepath.Join(dir, "store")
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	if _, refused := left(t, dir); refused == nil || !strings.Contains(refused.Error(), store) {
		t.Fatalf("without a store: %v", refused)
	}
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	missing, refused := left(t, dir)
	if refused != nil || len(missing) != keptAccounts || !strings.Contains(missing[0], "user-0") {
		t.Errorf("refused: %v, missing: %v", refused, missing)
	}
}
