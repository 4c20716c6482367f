package share

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"knatter.dev/chat"
)

func TestQueriesAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, goOn := 0, make(chan error)
		q := NewQuery(func(_ context.Context, words []string) ([]string, error) {
			asked++
			return words, <-goOn
		})
		type answer struct {
			word string
			all  []string
			err  error
		}
		answers := make(chan answer, 10)
		ask := func(ctx context.Context, word string) {
			go func() {
				all, err := q.Ask(ctx, word)
				answers <- answer{word, all, err}
			}()
			synctest.Wait()
		}
		want := func(err error, together []string, words ...string) {
			t.Helper()
			for range words {
				a := <-answers
				if !errors.Is(a.err, err) || !slices.Contains(words, a.word) || !slices.Equal(a.all, together) {
					t.Errorf("%+v, want one of %v together with %v, and error %v", a, words, together, err)
				}
			}
		}

		ctx, giveUp := context.WithCancel(t.Context())
		ask(t.Context(), "a")
		ask(t.Context(), "b")
		ask(t.Context(), "c")
		ask(ctx, "d")
		giveUp()
		want(context.Canceled, nil, "d")
		goOn <- nil
		want(nil, []string{"a"}, "a")
		synctest.Wait()
		ask(t.Context(), "e") // after the second query began, so not of it
		goOn <- nil
		want(nil, []string{"b", "c", "d"}, "b", "c")
		away := errors.New("away")
		goOn <- away
		want(away, []string{"e"}, "e")
		if asked != 3 {
			t.Errorf("%d queries, want 3", asked)
		}
	})
}

// A caller whose context ends while it carries the query out does not fail the
// others, and one whose query panics fails them, but leaves the turn.
func TestQueryOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		q := NewQuery(func(ctx context.Context, ill []bool) (int, error) {
			<-goOn
			if slices.Contains(ill, true) {
				panic("ill")
			}
			return len(ill), ctx.Err()
		})
		ctx, giveUp := context.WithCancel(t.Context())
		answers := make(chan error, 10)
		ask := func(ctx context.Context, ill bool) {
			go func() {
				defer func() { _ = recover() }()
				_, err := q.Ask(ctx, ill)
				answers <- err
			}()
			synctest.Wait()
		}
		ask(ctx, false)
		giveUp()
		goOn <- struct{}{}
		if err := <-answers; err != nil {
			t.Errorf("given up meanwhile: %v", err)
		}
		ask(t.Context(), false) // has the turn
		ask(t.Context(), true)  // carries the next one out
		ask(t.Context(), false) // shares it
		goOn <- struct{}{}
		if err := <-answers; err != nil {
			t.Error(err)
		}
		goOn <- struct{}{}
		if err := <-answers; err == nil || chat.KindOf(err) != chat.Internal {
			t.Errorf("shared with a panic: %v", err)
		}
		ask(t.Context(), false)
		goOn <- struct{}{}
		if err := <-answers; err != nil {
			t.Errorf("after a panic: %v", err)
		}
	})
}
