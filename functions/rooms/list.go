package rooms

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/view"
)

// entry is a room, and when something was last said in it or, where nothing was, when
// it was made.
type entry struct {
	view.Room
	latest time.Time
}

// list is the caller's rooms, latest first. Sequences of different rooms have no
// order, so it is by time.
func (f *Function) list(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return err
	}
	now := f.look(r.Context())
	memberships, err := now.rooms.RoomsOf(r.Context(), claims.User)
	if err != nil {
		return fmt.Errorf("listing a user's rooms: %w", err)
	}
	ids := make([]chat.RoomID, len(memberships))
	for i, m := range memberships {
		ids[i] = m.Room
	}
	owned, err := f.rooms.Owned(r.Context(), ids)
	if err != nil {
		return fmt.Errorf("looking for owners: %w", err)
	}
	counts, err := now.rooms.Counts(r.Context(), ids)
	if err != nil {
		return fmt.Errorf("counting members: %w", err)
	}
	entries := make([]entry, len(memberships))
	err = f.reads.Each(r.Context(), len(memberships), func(ctx context.Context, i int) error {
		m := memberships[i]
		room, err := now.rooms.Room(ctx, m.Room)
		if chat.KindOf(err) == chat.NotFound {
			return nil // the member is known and its room isn't yet: both are on their way
		}
		if err != nil {
			return fmt.Errorf("reading a room: %w", err)
		}
		if !owned[m.Room] && room.Kind != chat.Direct {
			if err := f.ensureOwner(ctx, room); err != nil {
				return err
			}
			if m, err = membership(ctx, now.rooms, m.Room, claims.User); err != nil {
				return err
			}
		}
		entries[i], err = now.entry(ctx, room, m, counts[m.Room])
		return err
	})
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e entry) bool { return e.ID == "" })
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(b.latest.Compare(a.latest), strings.Compare(string(a.ID), string(b.ID)))
	})
	rooms := make([]view.Room, len(entries))
	for i := range entries {
		rooms[i] = entries[i].Room
	}
	now.mark(w)
	serve.JSON(w, http.StatusOK, map[string][]view.Room{"rooms": rooms})
	return nil
}

func (f *Function) show(w http.ResponseWriter, r *http.Request) error {
	v, err := f.inside(r)
	if err != nil {
		return err
	}
	if v, err = f.owned(r.Context(), v); err != nil {
		return err
	}
	return f.answer(w, r, http.StatusOK, v)
}

// pins answers with the pinned messages, latest pinned first.
func (f *Function) pins(w http.ResponseWriter, r *http.Request) error {
	v, err := f.inside(r)
	if err != nil {
		return err
	}
	now := f.look(r.Context())
	look, err := now.look(r.Context(), v.room.ID, v.user)
	if err != nil {
		return err
	}
	look.Receipts = f.most
	pins, err := look.Pins(r.Context())
	if err != nil {
		return err
	}
	now.mark(w)
	serve.JSON(w, http.StatusOK, map[string][]view.Message{"pins": pins})
	return nil
}

// answer answers with the room as the caller sees it now.
func (f *Function) answer(w http.ResponseWriter, r *http.Request, status int, v visit) error {
	now := f.look(r.Context())
	room, err := now.rooms.Room(r.Context(), v.room.ID)
	if err != nil {
		return fmt.Errorf("reading a room: %w", err)
	}
	self, err := now.rooms.Membership(r.Context(), v.room.ID, v.user)
	if err != nil {
		return fmt.Errorf("reading a membership: %w", err)
	}
	if !self.Active {
		return errOutside
	}
	counts, err := now.rooms.Counts(r.Context(), []chat.RoomID{room.ID})
	if err != nil {
		return fmt.Errorf("counting members: %w", err)
	}
	e, err := now.entry(r.Context(), room, self, counts[room.ID])
	if err != nil {
		return err
	}
	now.mark(w)
	serve.JSON(w, status, e.Room)
	return nil
}
