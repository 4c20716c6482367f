package fanout

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"knatter.dev/chat"
)

// slowRoutes answer when they are told to.
type slowRoutes struct {
	chat.RouteStore
	asked   atomic.Int32
	answers chan error
}

func (s *slowRoutes) Connectors(_ context.Context, rooms []chat.StreamID) (map[chat.StreamID][]int, error) {
	s.asked.Add(1)
	err := <-s.answers
	found := make(map[chat.StreamID][]int)
	for _, room := range rooms {
		found[room] = []int{len(room)}
	}
	return found, err
}

func TestLookupsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowRoutes{answers: make(chan error)}
		l := newLookups(s)
		type answer struct {
			stream chat.StreamID
			found  map[chat.StreamID][]int
			err    error
		}
		answers := make(chan answer, 10)
		ask := func(ctx context.Context, stream chat.StreamID) {
			go func() {
				found, err := l.connectors(ctx, []chat.StreamID{stream})
				answers <- answer{stream, found, err}
			}()
			synctest.Wait()
		}
		want := func(err error, streams ...chat.StreamID) {
			t.Helper()
			for range streams {
				a := <-answers
				if !errors.Is(a.err, err) || !slices.Contains(streams, a.stream) {
					t.Errorf("%+v, want one of %v with error %v", a, streams, err)
				}
				if err == nil && (len(a.found) != 1 || !slices.Equal(a.found[a.stream], []int{len(a.stream)})) {
					t.Errorf("%s: found %v", a.stream, a.found)
				}
			}
		}

		ctx, giveUp := context.WithCancel(t.Context())
		ask(t.Context(), "a")
		ask(t.Context(), "bb")
		ask(t.Context(), "ccc")
		ask(ctx, "dddd")
		giveUp()
		want(context.Canceled, "dddd")
		s.answers <- nil
		want(nil, "a")
		synctest.Wait()
		ask(t.Context(), "eeeee") // after the second query began, so not of it
		s.answers <- nil
		want(nil, "bb", "ccc")
		away := errors.New("away")
		s.answers <- away
		want(away, "eeeee")
		if asked := s.asked.Load(); asked != 3 {
			t.Errorf("%d queries, want 3", asked)
		}
	})
}
