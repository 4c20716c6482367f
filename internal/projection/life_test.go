package projection_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/projection"
)

// randomLife is a random series of events about one message of a room.
func randomLife(t *testing.T, rnd *rand.Rand, n int) (events []chat.Event) {
	t.Helper()
	for i := range n {
		user := chat.UserID(fmt.Sprint("user", rnd.IntN(3)))
		emoji := []string{"👍", "❤️"}[rnd.IntN(2)]
		var data any = chat.About{Message: 5}
		typ := []chat.Type{chat.MessageEdited, chat.ReactionAdded, chat.ReactionRemoved, chat.MessagePinned, chat.MessageUnpinned}[rnd.IntN(5)]
		switch typ {
		case chat.MessageEdited:
			data = chat.Edited{About: chat.About{Message: 5}, Text: fmt.Sprint("text ", i), Mentions: []chat.UserID{user}}
		case chat.ReactionAdded, chat.ReactionRemoved:
			data = chat.Reaction{About: chat.About{Message: 5}, Emoji: emoji}
		}
		if rnd.IntN(40) == 0 {
			typ, data = chat.MessageDeleted, chat.About{Message: 5}
		}
		e, err := chat.NewEvent(fmt.Sprint(i), user, typ, "room", data)
		if err != nil {
			t.Fatal(err)
		}
		e.Sequence = chat.Sequence(6 + i)
		events = append(events, e)
	}
	return events
}

// foldLife folds events as a store does, which keeps reactions by user and emoji.
func foldLife(t *testing.T, events []chat.Event) projection.State {
	t.Helper()
	var state projection.State
	type key struct {
		user  chat.UserID
		emoji string
	}
	reactions := make(map[key]*projection.Toggle)
	for i := range events {
		a, ok, err := projection.AboutOf(&events[i])
		if err != nil || !ok || a.Message != 5 || a.Room != "room" {
			t.Fatalf("%+v, %t, %v", a, ok, err)
		}
		if a.Life != nil {
			state.Merge(a.Life)
			continue
		}
		k := key{a.Reaction.User, a.Reaction.Emoji}
		if reactions[k] == nil {
			reactions[k] = new(projection.Toggle)
		}
		reactions[k].Merge(&a.Reaction.Toggle)
	}
	for k, toggle := range reactions {
		if toggle.On() {
			state.Reactions = append(state.Reactions, projection.Reaction{User: k.user, Emoji: k.emoji, Toggle: *toggle})
		}
	}
	slices.SortFunc(state.Reactions, func(a, b projection.Reaction) int { return int(a.Since() - b.Since()) })
	return state
}

// In any order and however often events are folded, the state is the same, and it is
// what going through them in their order gives.
func TestLifeIsAJoin(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		events := randomLife(t, rnd, 1+rnd.IntN(30))
		want := foldLife(t, events)
		checkLife(t, events, want)
		shuffled := slices.Concat(events, events[:rnd.IntN(len(events))])
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := foldLife(t, shuffled); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got %+v, want %+v", seed, got, want)
		}
	}
}

// checkLife compares a state with what the events say one after the other.
func checkLife(t *testing.T, events []chat.Event, got projection.State) {
	t.Helper()
	var text string
	var deleted, pinned bool
	type reaction struct {
		user  chat.UserID
		emoji string
	}
	var standing []reaction
	for i := range events {
		e := &events[i]
		var d struct {
			Text  string `json:"text"`
			Emoji string `json:"emoji"`
		}
		if err := chat.Unmarshal(e.Data, &d); err != nil {
			t.Fatal(err)
		}
		r := reaction{e.User(), d.Emoji}
		switch e.Type {
		case chat.MessageEdited:
			text = d.Text
		case chat.MessageDeleted:
			deleted = true
		case chat.MessagePinned:
			pinned = true
		case chat.MessageUnpinned:
			pinned = false
		case chat.ReactionAdded:
			if !slices.Contains(standing, r) {
				standing = append(standing, r)
			}
		case chat.ReactionRemoved:
			standing = slices.DeleteFunc(standing, func(s reaction) bool { return s == r })
		}
	}
	if got.Deleted() != deleted {
		t.Fatalf("deleted: %t, want %t", got.Deleted(), deleted)
	}
	if deleted {
		if got.Text != "" || got.Mentions != nil || got.Pin.On() || got.Replaced() {
			t.Fatalf("of a deleted message %+v is left", got)
		}
		return
	}
	var have []reaction
	for _, r := range got.Reactions {
		have = append(have, reaction{r.User, r.Emoji})
	}
	if got.Text != text || got.Pin.On() != pinned || !slices.Equal(have, standing) {
		t.Fatalf("got %+v, want %q, pinned %t, %v", got, text, pinned, standing)
	}
}

// An event can only be about what was there before it.
func TestAboutWhatIsToCome(t *testing.T) {
	e, err := chat.NewEvent("1", "alice", chat.MessageDeleted, "room", chat.About{Message: 7})
	if err != nil {
		t.Fatal(err)
	}
	for sequence, want := range map[chat.Sequence]bool{6: false, 7: false, 8: true} {
		e.Sequence = sequence
		if _, ok, err := projection.AboutOf(&e); ok != want || err != nil {
			t.Errorf("at %d: %t, %v", sequence, ok, err)
		}
	}
	e.Stream = chat.StreamOf("alice")
	if _, ok, err := projection.AboutOf(&e); ok || err != nil {
		t.Errorf("on a user's stream: %t, %v", ok, err)
	}
	e.Stream, e.Data = "room", []byte(`{"message":"x"}`)
	if _, _, err := projection.AboutOf(&e); chat.KindOf(err) != chat.Invalid {
		t.Errorf("what cannot be read: %v", err)
	}
}
