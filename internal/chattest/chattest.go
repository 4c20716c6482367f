// Package chattest has one conformance suite for each store interface of the root
// package. The test of an adapter calls it with a function that opens an empty store.
// Every sentence of the interface's comments is checked.
package chattest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"knatter.dev/chat"
)

// epoch is when the suites' events begin.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Seeds are the runs of the tests that shuffle: fewer for a store whose server is slow.
var Seeds uint64 = 20

// shuffled runs f with generators of fixed seeds, each with a store of its own.
func shuffled[S any](t *testing.T, open func(t *testing.T) S, f func(t *testing.T, store S, rnd *rand.Rand)) {
	t.Helper()
	for seed := range Seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			f(t, open(t), rand.New(rand.NewPCG(seed, seed)))
		})
	}
}

// deliveries returns items as a log delivers them at least once: each item once, some
// more often, in any order, in batches of any size.
func deliveries[T any](rnd *rand.Rand, items []T) [][]T {
	all := slices.Clone(items)
	for range len(items) / 2 {
		all = append(all, items[rnd.IntN(len(items))])
	}
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var batches [][]T
	for len(all) > 0 {
		n := min(1+rnd.IntN(8), len(all))
		batches = append(batches, all[:n])
		all = all[n:]
	}
	return batches
}

// concurrently runs f n times at once and waits for all.
func concurrently(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// putConcurrently has n at once put the items, each as a log might deliver them.
func putConcurrently[T any](t *testing.T, rnd *rand.Rand, n int, items []T, put func(context.Context, []T) error) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	orders := make([][][]T, n)
	for i := range orders {
		orders[i] = deliveries(rnd, items)
	}
	concurrently(n, func(i int) {
		for _, batch := range orders[i] {
			if err := put(ctx, batch); err != nil {
				t.Error(err)
			}
		}
	})
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantKind fails the test unless err is of the kind.
func wantKind(t *testing.T, err error, kind chat.Kind) {
	t.Helper()
	if err == nil || chat.KindOf(err) != kind {
		t.Fatalf("got error %v (kind %d), want kind %d", err, chat.KindOf(err), kind)
	}
}

// logged returns an event as the log passes it to a store.
func logged(typ chat.Type, room chat.RoomID, user chat.UserID, id string, seq chat.Sequence, data any) chat.Event {
	e, err := chat.NewEvent(id, user, typ, room, data)
	if err != nil {
		panic(err) // the suites' own data
	}
	e.Sequence = seq
	e.Time = epoch.Add(time.Duration(seq%1000) * time.Millisecond)
	return e
}

// toCome is a message that is not there yet: an event about it says nothing.
const toCome = 1 << 40

// ofEachType has one event of each type, signals too, from sequence 1 on.
func ofEachType(room chat.RoomID) (log []chat.Event) {
	for i, row := range chat.EventTypes {
		data := row.Data()
		if data == nil {
			data = new(struct{})
		}
		fields := reflect.ValueOf(data).Elem()
		for n := range fields.NumField() {
			switch f := fields.Field(n); f.Kind() {
			case reflect.Struct:
				f.Set(reflect.ValueOf(chat.About{Message: toCome}))
			case reflect.String:
				f.SetString("alice")
			case reflect.Int, reflect.Int64:
				f.SetInt(1)
				if fields.Type().Field(n).Name == "Message" {
					f.SetInt(toCome)
				}
			}
		}
		log = append(log, logged(row.Type, room, "alice", row.Type.Short(), chat.Sequence(1+i), data))
	}
	return log
}

func message(room chat.RoomID, user chat.UserID, id string, seq chat.Sequence) chat.Event {
	return logged(chat.MessagePosted, room, user, id, seq, chat.Posted{Text: "안녕 " + id})
}

// describe formats values so that equal values, and only those, have equal results.
func describe(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only plain values are described
	}
	return string(b)
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := describe(got), describe(want); g != w {
		t.Fatalf("%s:\n got %s\nwant %s", what, g, w)
	}
}
