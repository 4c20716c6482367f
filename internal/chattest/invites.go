package chattest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"knatter.dev/chat"
)

// InviteStore checks a [chat.InviteStore].
func InviteStore(t *testing.T, open func(t *testing.T) chat.InviteStore) {
	ctx := t.Context()
	invite := func(code string, room chat.RoomID, uses int) chat.Invite {
		return chat.Invite{Code: code, Room: room, By: "alice", Created: epoch, Expires: epoch.Add(time.Hour), Uses: uses, Since: 7}
	}

	t.Run("invites come back as they were made, and go", func(t *testing.T) {
		s := open(t)
		_, err := s.Invite(ctx, "one")
		wantKind(t, err, chat.NotFound)
		one, two, never := invite("one", "room", 3), invite("two", "room", 0), invite("three", "other", 1)
		never.Expires = time.Time{}
		for _, i := range []chat.Invite{two, one, never} {
			must(t, s.Create(ctx, i))
			got, err := s.Invite(ctx, i.Code)
			must(t, err)
			wantEqual(t, "invite", got, i)
		}
		wantKind(t, s.Create(ctx, invite("one", "other", 1)), chat.Conflict)
		wantKind(t, s.Create(ctx, invite("", "room", 1)), chat.Invalid)
		wantKind(t, s.Create(ctx, invite("a\x00b", "room", 1)), chat.Invalid)
		list, err := s.Invites(ctx, "room")
		must(t, err)
		wantEqual(t, "invites", list, []chat.Invite{one, two})
		must(t, s.Withdraw(ctx, "one"))
		wantKind(t, s.Withdraw(ctx, "one"), chat.NotFound)
		_, err = s.Invite(ctx, "one")
		wantKind(t, err, chat.NotFound)
		wantKind(t, s.Change(ctx, "one", func(*chat.Invite) error { return nil }), chat.NotFound)
		list, err = s.Invites(ctx, "room")
		must(t, err)
		wantEqual(t, "invites", list, []chat.Invite{two})
	})

	t.Run("a change that is refused changes nothing", func(t *testing.T) {
		s := open(t)
		must(t, s.Create(ctx, invite("one", "room", 3)))
		err := s.Change(ctx, "one", func(i *chat.Invite) error {
			i.Used = 2
			return chat.Errorf(chat.Forbidden, "no")
		})
		wantKind(t, err, chat.Forbidden)
		got, err := s.Invite(ctx, "one")
		must(t, err)
		wantEqual(t, "invite", got, invite("one", "room", 3))
	})

	t.Run("uses are counted exactly", func(t *testing.T) {
		s := open(t)
		const uses, users = 7, 25
		must(t, s.Create(ctx, invite("one", "room", uses)))
		var let atomic.Int64
		var wg sync.WaitGroup
		for n := range users {
			wg.Go(func() {
				for range 2 { // the second is the same use again
					err := s.Change(ctx, "one", func(i *chat.Invite) error {
						if !i.Claim(chat.Claim{User: chat.UserID(fmt.Sprint("user-", n)), At: 1}, epoch) {
							return chat.Errorf(chat.NotFound, "used up")
						}
						return nil
					})
					if err == nil {
						let.Add(1)
					} else if chat.KindOf(err) != chat.NotFound {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		got, err := s.Invite(ctx, "one")
		must(t, err)
		if got.Used != uses || let.Load() != 2*uses || len(got.Claims) != uses {
			t.Fatalf("%d were let in, twice each; the invite says %+v", let.Load(), got)
		}
	})
}
