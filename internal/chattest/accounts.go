package chattest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"knatter.dev/chat"
)

// AccountStore checks a [chat.AccountStore].
func AccountStore(t *testing.T, open func(t *testing.T) chat.AccountStore) {
	ctx := t.Context()
	alice := chat.Account{
		ID: "alice", Email: "Alice.Kim@Example.com", Nickname: "앨리스",
		PasswordHash: "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", Created: epoch,
	}

	t.Run("an account comes back as it was created", func(t *testing.T) {
		s := open(t)
		_, err := s.Account(ctx, "alice")
		wantKind(t, err, chat.NotFound)
		_, err = s.ByEmail(ctx, alice.Email)
		wantKind(t, err, chat.NotFound)
		must(t, s.Create(ctx, alice))
		got, err := s.Account(ctx, "alice")
		must(t, err)
		wantEqual(t, "account", got, alice)
		for _, email := range []string{"Alice.Kim@Example.com", "alice.kim@example.com", "ALICE.KIM@EXAMPLE.COM"} {
			got, err := s.ByEmail(ctx, email)
			must(t, err)
			wantEqual(t, email, got, alice)
		}
		_, err = s.ByEmail(ctx, "alice.kim@example.co")
		wantKind(t, err, chat.NotFound)
	})

	t.Run("IDs and addresses are unique", func(t *testing.T) {
		s := open(t)
		must(t, s.Create(ctx, alice))
		wantKind(t, s.Create(ctx, chat.Account{ID: "alice", Email: "other@example.com"}), chat.Conflict)
		wantKind(t, s.Create(ctx, chat.Account{ID: "bob", Email: "alice.KIM@example.com"}), chat.Conflict)
		_, err := s.ByEmail(ctx, "other@example.com")
		wantKind(t, err, chat.NotFound)
		_, err = s.Account(ctx, "bob")
		wantKind(t, err, chat.NotFound)
		got, err := s.Account(ctx, "alice")
		must(t, err)
		wantEqual(t, "account", got, alice)
	})

	t.Run("spellings of one address are one", func(t *testing.T) {
		for _, spellings := range [][]string{
			{
				"alice@example.com", "ALICE@example.com", "al\u200bice@example.com", "al\u00adice@example.com", "ａｌｉｃｅ@example.com",
				"ＡＬＩＣＥ＠ｅｘａｍｐｌｅ．ｃｏｍ", "alice@example。com", "alice@ex\u00adample.com", "al\u3164ice\ufe0f@example.com", "alıce@example.com",
			},
			{"bob@bücher.example", "Bob@BÜCHER.example", "bob@xn--bcher-kva.example", "bob@XN--BCHER-KVA.example", "bob@bu\u0308cher.example"},
			{"김민지@한국.kr", "\u1100\u1175\u11b7민지@xn--3e0b707e.kr"},
			{"straße@example.com", "STRASSE@example.com", "STRAẞE@example.com"},
		} {
			for _, created := range spellings {
				s := open(t)
				want := chat.Account{ID: "first", Email: created}
				must(t, s.Create(ctx, want))
				for n, other := range spellings {
					got, err := s.ByEmail(ctx, other)
					must(t, err)
					wantEqual(t, fmt.Sprintf("%q, created as %q", other, created), got, want)
					wantKind(t, s.Create(ctx, chat.Account{ID: chat.UserID(fmt.Sprint("other-", n)), Email: other}), chat.Conflict)
				}
			}
		}
		s := open(t)
		for i, other := range []string{"alice@example.com", "alice@example.org", "al.ice@example.com", "alice+1@example.com", "a@fass.de", "a@faß.de", "a@bucher.example", "a@bücher.example"} {
			want := chat.Account{ID: chat.UserID(fmt.Sprint("user-", i)), Email: other}
			must(t, s.Create(ctx, want))
			got, err := s.ByEmail(ctx, other)
			must(t, err)
			wantEqual(t, other, got, want)
		}
		_, err := s.ByEmail(ctx, "\u200b")
		wantKind(t, err, chat.NotFound)
	})

	t.Run("accounts without an address do not collide", func(t *testing.T) {
		s := open(t)
		must(t, s.Create(ctx, chat.Account{ID: "bot-1", Nickname: "bot"}))
		must(t, s.Create(ctx, chat.Account{ID: "bot-2", Nickname: "bot"}))
		got, err := s.Account(ctx, "bot-2")
		must(t, err)
		wantEqual(t, "account", got, chat.Account{ID: "bot-2", Nickname: "bot"})
		_, err = s.ByEmail(ctx, "")
		wantKind(t, err, chat.NotFound)
	})

	t.Run("of concurrent creations one succeeds", func(t *testing.T) {
		s := open(t)
		var created, conflicts atomic.Int32
		concurrently(16, func(i int) {
			email := []string{"x@example.com", "X@Example.com"}[i%2]
			err := s.Create(context.WithoutCancel(ctx), chat.Account{ID: chat.UserID(fmt.Sprint("user-", i)), Email: email})
			switch {
			case err == nil:
				created.Add(1)
			case chat.KindOf(err) == chat.Conflict:
				conflicts.Add(1)
			default:
				t.Error(err)
			}
		})
		if created.Load() != 1 || conflicts.Load() != 15 {
			t.Fatalf("%d created, %d conflicts", created.Load(), conflicts.Load())
		}
	})

	t.Run("a nickname changes and nothing else", func(t *testing.T) {
		s := open(t)
		wantKind(t, s.SetNickname(ctx, "alice", "new"), chat.NotFound)
		must(t, s.Create(ctx, alice))
		must(t, s.SetNickname(ctx, "alice", "new"))
		want := alice
		want.Nickname = "new"
		got, err := s.ByEmail(ctx, alice.Email)
		must(t, err)
		wantEqual(t, "account", got, want)
	})

	t.Run("friends are listed one way, by ID, once", func(t *testing.T) {
		s := open(t)
		for _, friend := range []chat.UserID{"dave", "bob", "carol", "bob", "bo"} {
			must(t, s.Befriend(ctx, "alice", friend))
		}
		must(t, s.Befriend(ctx, "al", "zoe"))
		must(t, s.Unfriend(ctx, "alice", "carol"))
		must(t, s.Unfriend(ctx, "alice", "carol"))
		must(t, s.Unfriend(ctx, "alice", "nobody"))
		for user, want := range map[chat.UserID][]chat.UserID{"alice": {"bo", "bob", "dave"}, "al": {"zoe"}, "bob": nil} {
			got, err := s.Friends(ctx, user)
			must(t, err)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("friends of %s: %v, want %v", user, got, want)
			}
		}
	})
}
