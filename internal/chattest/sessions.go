package chattest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"knatter.dev/chat"
)

// SessionStore checks a [chat.SessionStore].
func SessionStore(t *testing.T, open func(t *testing.T) chat.SessionStore) {
	ctx := t.Context()
	now := time.Now().UTC().Truncate(time.Millisecond)
	expires := now.Add(time.Hour)
	login := chat.Session{ID: "s1", User: "alice", Refresh: "hash-0", Created: epoch, Expires: expires}

	t.Run("a session comes back as it was opened", func(t *testing.T) {
		s := open(t)
		_, err := s.Session(ctx, "s1")
		wantKind(t, err, chat.NotFound)
		must(t, s.Open(ctx, login))
		got, err := s.Session(ctx, "s1")
		must(t, err)
		wantEqual(t, "session", got, login)
	})

	t.Run("rotation replaces the hash and the expiry", func(t *testing.T) {
		s := open(t)
		must(t, s.Open(ctx, login))
		want := login
		for i := range 3 {
			want.Refresh = fmt.Sprint("hash-", i+1)
			want.Expires = want.Expires.Add(time.Hour)
			want.Rotated = now.Add(time.Duration(i) * time.Minute)
			got, err := s.Rotate(ctx, "s1", fmt.Sprint("hash-", i), want.Refresh, want.Rotated, want.Expires)
			must(t, err)
			wantEqual(t, "rotated", got, want)
			got, err = s.Session(ctx, "s1")
			must(t, err)
			wantEqual(t, "stored", got, want)
		}
	})

	t.Run("the same rotation again finds its successor, for as long as the grace lasts", func(t *testing.T) {
		s := open(t)
		must(t, s.Open(ctx, login))
		want, err := s.Rotate(ctx, "s1", "hash-0", "hash-1", now, expires)
		must(t, err)
		for _, after := range []time.Duration{-time.Second, 0, chat.RefreshGrace - time.Millisecond} { // clocks differ
			got, err := s.Rotate(ctx, "s1", "hash-0", "hash-1", now.Add(after), expires.Add(time.Hour))
			must(t, err)
			wantEqual(t, "rotated again", got, want)
		}
		_, err = s.Rotate(ctx, "s1", "hash-0", "hash-1", now.Add(chat.RefreshGrace), expires)
		wantKind(t, err, chat.Forbidden)
		_, err = s.Rotate(ctx, "s1", "hash-1", "hash-2", now.Add(time.Second), expires)
		must(t, err)
		_, err = s.Rotate(ctx, "s1", "hash-0", "hash-1", now.Add(2*time.Second), expires) // the one before the one before
		wantKind(t, err, chat.Forbidden)
	})

	t.Run("another hash than the current one changes nothing", func(t *testing.T) {
		s := open(t)
		must(t, s.Open(ctx, login))
		for _, hash := range []string{"", "hash-1", "hash-00", "HASH-0"} {
			_, err := s.Rotate(ctx, "s1", hash, "hash-2", now, expires)
			wantKind(t, err, chat.Forbidden)
		}
		got, err := s.Session(ctx, "s1")
		must(t, err)
		wantEqual(t, "session", got, login)
		_, err = s.Rotate(ctx, "s1", "hash-0", "hash-1", now, expires)
		must(t, err)
	})

	t.Run("a session that was revoked within the grace stays so", func(t *testing.T) {
		s := open(t)
		must(t, s.Open(ctx, login))
		_, err := s.Rotate(ctx, "s1", "hash-0", "hash-1", now, expires)
		must(t, err)
		must(t, s.Revoke(ctx, "s1"))
		_, err = s.Rotate(ctx, "s1", "hash-0", "hash-1", now, expires)
		wantKind(t, err, chat.Unauthenticated)
	})

	t.Run("an expired session does not rotate", func(t *testing.T) {
		s := open(t)
		old := login
		old.Expires = time.Now().Add(-time.Second)
		must(t, s.Open(ctx, old))
		_, err := s.Rotate(ctx, "s1", "hash-0", "hash-1", now, expires)
		wantKind(t, err, chat.Unauthenticated)
	})

	t.Run("a revoked session does not rotate", func(t *testing.T) {
		s := open(t)
		wantKind(t, s.Revoke(ctx, "s1"), chat.NotFound)
		_, err := s.Rotate(ctx, "s1", "hash-0", "hash-1", now, expires)
		wantKind(t, err, chat.NotFound)
		other := login
		other.ID = "s10"
		must(t, s.Open(ctx, login))
		must(t, s.Open(ctx, other))
		must(t, s.Revoke(ctx, "s1"))
		must(t, s.Revoke(ctx, "s1"))
		_, err = s.Rotate(ctx, "s1", "hash-0", "hash-1", now, expires)
		wantKind(t, err, chat.Unauthenticated)
		got, err := s.Session(ctx, "s1")
		must(t, err)
		if !got.Revoked {
			t.Fatal("not revoked")
		}
		_, err = s.Rotate(ctx, "s10", "hash-0", "hash-1", now, expires)
		must(t, err)
	})

	t.Run("concurrent rotations with one hash find one successor", func(t *testing.T) {
		s := open(t)
		must(t, s.Open(ctx, login))
		var same, others atomic.Int32
		concurrently(16, func(i int) {
			if i%2 == 0 {
				got, err := s.Rotate(context.WithoutCancel(ctx), "s1", "hash-0", "hash-1", now, expires)
				if err == nil && got.Refresh == "hash-1" {
					same.Add(1)
				}
				return
			}
			if _, err := s.Rotate(context.WithoutCancel(ctx), "s1", "guess", "hash-x", now, expires); chat.KindOf(err) == chat.Forbidden {
				others.Add(1)
			}
		})
		got, err := s.Session(ctx, "s1")
		must(t, err)
		if same.Load() != 8 || others.Load() != 8 || got.Refresh != "hash-1" || got.Revoked {
			t.Fatalf("%d rotated, %d refused, session %+v", same.Load(), others.Load(), got)
		}
	})
}

// AttemptStore checks a [chat.AttemptStore].
func AttemptStore(t *testing.T, open func(t *testing.T) chat.AttemptStore) {
	ctx := t.Context()

	t.Run("attempts are counted by key and aligned window", func(t *testing.T) {
		s := open(t)
		for _, step := range []struct {
			key    string
			window time.Duration
			at     time.Duration // since epoch, which is a multiple of every window here
			want   int
		}{
			{"login 1.2.3.4", time.Minute, 0, 1},
			{"login 1.2.3.4", time.Minute, 59*time.Second + 999*time.Millisecond, 2},
			{"login 1.2.3.5", time.Minute, 30 * time.Second, 1},
			{"login 1.2.3.4", time.Hour, 30 * time.Second, 1}, // windows of another length count apart
			{"login 1.2.3.4", time.Minute, 60 * time.Second, 1},
			{"login 1.2.3.4", time.Minute, 61 * time.Second, 2},
			{"login 1.2.3.4", time.Hour, 59 * time.Minute, 2},
			{"login 1.2.3.4", time.Hour, 60 * time.Minute, 1},
			{"login 1.2.3.4", time.Minute, 48 * time.Hour, 1},
			{"login 1.2.3.4", time.Minute, 48*time.Hour + time.Second, 2},
		} {
			n, err := s.Attempt(ctx, step.key, step.window, epoch.Add(step.at))
			must(t, err)
			if n != step.want {
				t.Errorf("%+v: got %d", step, n)
			}
		}
	})

	t.Run("concurrent attempts are all counted", func(t *testing.T) {
		s := open(t)
		var seen [64]atomic.Int32
		concurrently(len(seen), func(int) {
			n, err := s.Attempt(context.WithoutCancel(ctx), "key", time.Minute, epoch)
			if err != nil {
				t.Error(err)
				return
			}
			seen[n-1].Add(1)
		})
		for i := range seen {
			if seen[i].Load() != 1 {
				t.Fatalf("%d was counted %d times", i+1, seen[i].Load())
			}
		}
	})
}
