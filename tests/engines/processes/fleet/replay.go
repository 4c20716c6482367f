package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/open"
)

// Replay is a story of those who run Knatter: the index is emptied and built again
// from the log, messages are stored in an empty store from the log, events that were
// refused are given to their function again. What comes out equals what was before.
// say is told of each step.
func Replay(ctx context.Context, f *Fleet, say func(string, ...any)) error {
	r := &replay{f: f, say: say}
	var err error
	if r.alice, err = newPerson(ctx, f.URLs()[0], f.URLs()[0], "alice"); err != nil {
		return err
	}
	defer r.alice.conn.Close()
	for i := range 2 {
		room, err := r.alice.CreateRoom(ctx, fmt.Sprint("Replay ", i))
		if err != nil {
			return err
		}
		r.rooms = append(r.rooms, room.ID)
		for j := range messages {
			if err := r.sends(ctx, room.ID, fmt.Sprintf("회의록 %d을 공유해 주세요, running %d", j, i)); err != nil {
				return err
			}
		}
	}
	for _, part := range []func(context.Context) error{r.index, r.persist, r.deadLetters, r.poison} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// messages of each room: few, since FerretDB goes through a whole collection for much
// of what MongoDB finds by an index, and each hit is looked up.
const messages = 12

type replay struct {
	f     *Fleet
	say   func(string, ...any)
	alice *person
	rooms []chat.RoomID
}

func (r *replay) sends(ctx context.Context, room chat.RoomID, text string) error {
	_, err := r.alice.conn.Send(ctx, room, text)
	return err
}

// stopped does something while processes are stopped, and then starts them again.
func (r *replay) stopped(ctx context.Context, do func() error, names ...string) error {
	for _, name := range names {
		if err := r.f.Stop(name); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	for _, name := range slices.Backward(names) {
		if err := r.f.Restart(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// refused wants the admin command to fail for a reason.
func (r *replay) refused(ctx context.Context, reason string, args ...string) error {
	out, err := r.f.Admin(ctx, args...)
	if err == nil || !strings.Contains(out+err.Error(), reason) {
		return fmt.Errorf("admin %s was to be refused as %q: %s, %w", strings.Join(args, " "), reason, out, err)
	}
	return nil
}

// index empties the index and builds it again.
func (r *replay) index(ctx context.Context) error {
	if err := r.f.Settle(ctx); err != nil {
		return err
	}
	before, err := r.found(ctx)
	if err != nil {
		return err
	}
	postings, err := r.postings(ctx)
	if err != nil {
		return err
	}
	if err := r.refused(ctx, "has 1 members", "rewind", "knatter-index"); err != nil {
		return err
	}
	err = r.stopped(ctx, func() error {
		if _, err := r.f.Admin(ctx, "wipe-index"); err != nil {
			return err
		}
		if left, err := r.found(ctx); err != nil || len(left) > 0 {
			return fmt.Errorf("%d messages are found in an empty index, %w", len(left), err)
		}
		_, err := r.f.Admin(ctx, "rewind", "knatter-index")
		return err
	}, "dispatcher-index")
	if err != nil {
		return err
	}
	if err := r.f.Settle(ctx); err != nil {
		return err
	}
	after, err := r.found(ctx)
	if err != nil {
		return err
	}
	again, err := r.postings(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) || !slices.Equal(postings, again) {
		return fmt.Errorf("after the replay %d are found and %d postings are there, before %d and %d", len(after), len(again), len(before), len(postings))
	}
	r.say("index: emptied and built again: %d postings, %d hits, all as before", len(again), len(after))
	return nil
}

func (r *replay) found(ctx context.Context) (all []string, err error) {
	for _, text := range []string{"회의록", "run", "11"} {
		hits, err := r.alice.finds(ctx, text)
		if err != nil {
			return nil, err
		}
		all = append(all, hits...)
	}
	return all, nil
}

func (r *replay) postings(ctx context.Context) (all []string, err error) {
	s, err := open.StoreOf(ctx, r.f.Env())
	if err != nil {
		return nil, err
	}
	defer s.Close()
	err = s.Index.Dump(ctx, func(room chat.RoomID, term string, hit chat.Hit) error {
		all = append(all, fmt.Sprint(room, term, hit))
		return nil
	})
	return all, err
}

// persist stores everything anew, in another database.
func (r *replay) persist(ctx context.Context) error {
	old := r.f.Env()["KNATTER_STORE"]
	fresh := old + "-replayed"
	into := func(store string) error {
		return r.stopped(ctx, func() error {
			if _, err := r.f.Set("persist", "KNATTER_STORE", store); err != nil {
				return err
			}
			_, err := r.f.Admin(ctx, "rewind", "persist")
			return err
		}, "dispatcher-persist", "persist")
	}
	if err := into(fresh); err != nil {
		return err
	}
	if err := r.f.Settle(ctx); err != nil {
		return err
	}
	before, err := r.stored(ctx, old)
	if err != nil {
		return err
	}
	after, err := r.stored(ctx, fresh)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		return fmt.Errorf("the empty store got\n%s\nthe old one has\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
	if err := into(old); err != nil { // with what has come meanwhile
		return err
	}
	r.say("persist: an empty store got all %d events, rooms and members as they were", len(after))
	return r.f.Settle(ctx)
}

// stored is what a store has of the rooms.
func (r *replay) stored(ctx context.Context, url string) (all []string, err error) {
	s, err := open.Store(ctx, url)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for _, id := range r.rooms {
		events, more, err := s.Events.Events(ctx, id, chat.Range{Limit: 1000})
		if err != nil || more {
			return nil, errors.Join(err, fmt.Errorf("events of %s, more than wanted: %v", id, more))
		}
		for i := range events {
			all = append(all, string(events[i].AppendFrame(nil)))
		}
		room, err := s.Rooms.Room(ctx, id)
		if err != nil {
			return nil, err
		}
		members, err := s.Rooms.Members(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprintf("%+v", room), fmt.Sprintf("%+v", members))
	}
	return all, nil
}

// deadLetters is about a mistake: what follows the log for the index is given
// another function's URL, which refuses everything.
func (r *replay) deadLetters(ctx context.Context) error {
	room, text := r.rooms[0], "lost and found"
	env := r.f.Env()
	urlTo := func(url string) error {
		return r.stopped(ctx, func() error {
			_, err := r.f.Set("dispatcher-index", "KNATTER_FUNCTION_INDEX", url)
			return err
		}, "dispatcher-index")
	}
	if err := urlTo(env["KNATTER_FUNCTION_ROOMS"]); err != nil {
		return err
	}
	if err := r.sends(ctx, room, text); err != nil {
		return err
	}
	if err := r.f.Settle(ctx); err != nil {
		return err
	}
	if err := urlTo(env["KNATTER_FUNCTION_INDEX"]); err != nil {
		return err
	}
	if hits, err := r.alice.finds(ctx, "lost"); err != nil || len(hits) != 0 {
		return fmt.Errorf("%d hits of what was refused, %w", len(hits), err)
	}
	listed, err := r.f.Admin(ctx, "dead-letters", "list")
	if err != nil {
		return err
	}
	if strings.Count(listed, "\n") != 2 || !strings.Contains(listed, string(room)) || strings.Contains(listed, text) {
		return fmt.Errorf("the list of one dead letter:\n%s", listed)
	}
	for _, want := range []string{"1 replayed, 0 not", "0 replayed, 0 not"} { // remembered
		said, err := r.f.Admin(ctx, "dead-letters", "replay")
		if err != nil || !strings.Contains(said, want) {
			return fmt.Errorf("replaying said %q, want %q, %w", said, want, err)
		}
	}
	hits, err := r.alice.finds(ctx, "lost")
	if err != nil || len(hits) != 1 {
		return fmt.Errorf("%d hits of what was replayed, want 1, %w", len(hits), err)
	}
	if listed, err = r.f.Admin(ctx, "dead-letters", "list"); err != nil || strings.Count(listed, "\n") != 1 {
		return fmt.Errorf("the list after the replay, %w:\n%s", err, listed)
	}
	r.say("dead letters: one event that index had refused was replayed, once, and is found")
	return nil
}

// poison is about an event that no function will ever take.
func (r *replay) poison(ctx context.Context) error {
	kc, err := open.LogConfig(r.f.Env())
	if err != nil {
		return err
	}
	log, err := open.Log(ctx, kc)
	if err != nil {
		return err
	}
	defer log.Close()
	e, err := chat.NewEvent("poison", r.alice.User.ID, chat.MessagePosted, r.rooms[1], map[string]int{"text": 5})
	if err != nil {
		return err
	}
	if err := log.Append(ctx, &e); err != nil {
		return err
	}
	if err := r.f.Settle(ctx); err != nil {
		return err
	}
	if err := r.refused(ctx, "0 replayed, 3 not", "dead-letters", "replay"); err != nil {
		return err
	}
	listed, err := r.f.Admin(ctx, "dead-letters", "list")
	if err != nil || strings.Count(listed, "poison") != 3 {
		return fmt.Errorf("the list with the poison, %w:\n%s", err, listed)
	}
	if err := r.sends(ctx, r.rooms[1], "life goes on"); err != nil {
		return err
	}
	if err := r.f.Settle(ctx); err != nil {
		return err
	}
	if hits, err := r.alice.finds(ctx, "life"); err != nil || len(hits) != 1 {
		return fmt.Errorf("%d hits after the poison, want 1, %w", len(hits), err)
	}
	r.say("dead letters: an event that nobody can read is with them, is refused again, and holds nothing up:\n%s", listed)
	return nil
}
