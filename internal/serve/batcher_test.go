package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

func TestBatcherSharesCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &recorder{fail: func([]chat.Event) error { <-release; return nil }}
		b := serve.NewBatcher(h)
		var wg sync.WaitGroup
		call := func(i int) {
			wg.Go(func() {
				if err := b.HandleEvents(t.Context(), []chat.Event{event(fmt.Sprint(i))}); err != nil {
					t.Error(err)
				}
			})
		}
		call(0)
		synctest.Wait() // the first is being handled; the others gather meanwhile
		for i := range 100 {
			call(i + 1)
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if len(h.calls) != 2 || len(h.calls[0]) != 1 || len(h.calls[1]) != 100 {
			t.Errorf("%d calls, want one with 1 event and one with 100", len(h.calls))
		}
	})
}

// A backlog is handled in pieces, each of whole calls.
func TestBatcherBoundsBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &recorder{fail: func([]chat.Event) error { <-release; return nil }}
		b := serve.NewBatcher(h)
		var wg sync.WaitGroup
		const calls, each = 40, 300
		for range calls {
			wg.Go(func() {
				if err := b.HandleEvents(t.Context(), slices.Repeat([]chat.Event{event("1")}, each)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(release)
		wg.Wait()
		handled := 0
		for _, events := range h.calls {
			if len(events) > 1000+each {
				t.Errorf("a batch of %d events", len(events))
			}
			handled += len(events)
		}
		if handled != calls*each || len(h.calls) > 15 {
			t.Errorf("%d events in %d batches, want %d in about 10", handled, len(h.calls), calls*each)
		}
	})
}

func TestBatcherOneBadEvent(t *testing.T) {
	for name, fail := range map[string]func() error{
		"never":      func() error { return chat.Errorf(chat.Invalid, "bad") },
		"internal":   func() error { return errors.New("bad") },
		"by a panic": func() error { panic("bad") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				h := &recorder{fail: func(events []chat.Event) error {
					<-release
					for _, e := range events {
						if strings.HasPrefix(e.ID, "bad") {
							return fail()
						}
					}
					return nil
				}}
				b := serve.NewBatcher(h)
				var wg sync.WaitGroup
				errs := make(map[string]error)
				var mu sync.Mutex
				for _, id := range []string{"1", "2", "bad", "3", "bad as well", "4"} {
					wg.Go(func() {
						err := b.HandleEvents(t.Context(), []chat.Event{event(id)})
						mu.Lock()
						errs[id] = err
						mu.Unlock()
					})
				}
				synctest.Wait()
				close(release)
				wg.Wait()
				for id, err := range errs {
					if bad := strings.HasPrefix(id, "bad"); bad != (err != nil) {
						t.Errorf("%s: %v", id, err)
					}
				}
				// The batcher goes on.
				if err := b.HandleEvents(t.Context(), []chat.Event{event("5")}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A store that is away is not asked again for each of the waiting calls.
func TestBatcherUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &recorder{fail: func([]chat.Event) error {
			<-release
			return chat.Errorf(chat.Unavailable, "away")
		}}
		b := serve.NewBatcher(h)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				err := b.HandleEvents(t.Context(), []chat.Event{event("1")})
				if chat.KindOf(err) != chat.Unavailable {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if len(h.calls) > 2 {
			t.Errorf("%d calls for 50 events", len(h.calls))
		}
	})
}

func TestBatcherCancelledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &blocking{release: release}
		b := serve.NewBatcher(h)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, c := range []context.Context{ctx, t.Context(), t.Context()} {
			wg.Go(func() {
				if err := b.HandleEvents(c, []chat.Event{event("1")}); err != nil {
					t.Errorf("a caller failed: %v", err)
				}
			})
			synctest.Wait()
		}
		cancel() // the first caller handles the batch: giving up must not fail anybody
		synctest.Wait()
		close(release)
		wg.Wait()
	})
}

type blocking struct{ release chan struct{} }

func (h *blocking) HandleEvents(ctx context.Context, _ []chat.Event) error {
	select {
	case <-h.release:
		return nil
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "cancelled: %w", ctx.Err())
	}
}

// With the queue full a caller waits no longer than its context lasts.
func TestBatcherOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := serve.NewBatcher(&blocking{release: release})
		var wg sync.WaitGroup
		for range 513 { // one is being handled, 512 wait
			wg.Go(func() {
				if err := b.HandleEvents(t.Context(), []chat.Event{event("1")}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.HandleEvents(ctx, []chat.Event{event("1")}) }()
		synctest.Wait()
		cancel()
		if err := <-done; chat.KindOf(err) != chat.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
		close(release)
		wg.Wait()
	})
}

func TestBatcherUnderLoad(t *testing.T) {
	h := new(recorder)
	b := serve.NewBatcher(h)
	var wg sync.WaitGroup
	const callers, each = 50, 100
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				if err := b.HandleEvents(t.Context(), []chat.Event{event(fmt.Sprintf("%d-%d", i, j))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[string]int)
	for _, call := range h.calls {
		for _, e := range call {
			seen[e.ID]++
		}
	}
	if len(seen) != callers*each {
		t.Errorf("%d of %d events handled", len(seen), callers*each)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s handled %d times", id, n)
		}
	}
}

// What a function panics with may be what somebody wrote: nobody is told.
func TestPanicsAreNotQuoted(t *testing.T) {
	const text = "what-somebody-wrote"
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)

	err := serve.NewBatcher(&recorder{fail: func([]chat.Event) error { panic(text) }}).HandleEvents(t.Context(), []chat.Event{event("1")})
	if chat.KindOf(err) != chat.Internal || strings.Contains(err.Error(), text) {
		t.Errorf("a batcher's error: %v", err)
	}
	f := serve.Demand(nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New(text)) }))
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), text) {
		t.Errorf("a function's answer: %d, %s", w.Code, w.Body)
	}
	if strings.Contains(log.String(), text) || strings.Count(log.String(), "panicked with a") != 2 {
		t.Errorf("logged %s", &log)
	}
}
