package pebble

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"knatter.dev/chat"
)

// TestComparer checks the database's rules for a comparer with prefixes, on whole
// keys and on all that they are cut to as bounds.
func TestComparer(t *testing.T) {
	at := placeOf(time.UnixMilli(1<<40), 7)
	whole := [][]byte{
		{kindSchema},
		eventKey(nil, kindMessage, "room", 0), eventKey(nil, kindMessage, "room", 1<<53-1), eventKey(nil, kindEvent, "r", 5),
		identityKey(nil, kindFirst, "room", "/users/a", "id"),
		nameKey(kindRoom, chat.RoomID("room")), pairKey(kindMember, chat.RoomID("room"), chat.UserID("a")),
		postingKey(nil, kindPosting, "room", "term", at), postingKey(nil, kindPosting, "room", "term", place{}),
		postingKey(nil, kindPosting, "room", "te", at.next()), postingKey(nil, kindSender, "roo", "a", placeAt(0, 0)),
		eventKey(nil, kindRemoved, "room", 9), eventKey(nil, kindAwaited, "room", 9),
		placeKey(message{"room", 9}), append(placeKey(message{"room", 9}), 1, 2, 3, 4, 5, 6, 7, 8),
		postingKey(nil, kindEditedPosting, "room", "term", at), postingKey(nil, kindEditedSender, "room", "a", at),
		lifeKey("room", 9, 0), lifeKey("room", 9, 1<<53-1), lifeKey("room", 0, 5), lifeKey("roo", 9, 5),
	}
	var keys [][]byte
	for _, key := range whole {
		for n := range len(key) + 1 {
			keys = append(keys, key[:n], after(key[:n]))
		}
	}
	for _, a := range keys {
		for _, b := range keys {
			pa, pb := a[:split(a)], b[:split(b)]
			if bytes.Compare(a, b) <= 0 && bytes.Compare(pa, pb) > 0 || bytes.Compare(pa, pb) < 0 && bytes.Compare(a, b) >= 0 {
				t.Fatalf("the prefixes of %q and %q are in another order", a, b)
			}
			if bytes.Equal(pa, pb) && bytes.Compare(a, b) != bytes.Compare(a[len(pa):], b[len(pb):]) {
				t.Fatalf("the suffixes of %q and %q are in another order", a, b)
			}
		}
	}
	for key, want := range map[string]int{
		string(eventKey(nil, kindMessage, "room", 0)):                 6,
		string(postingKey(nil, kindPosting, "room", "term", place{})): 11,
		string(lifeKey("room", 0, 7)):                                 14,
		string(identityKey(nil, kindFirst, "room", "s", "id")):        10,
	} {
		if got := split([]byte(key)); got != want {
			t.Errorf("split(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestPlace(t *testing.T) {
	var places []place
	for _, milli := range []int64{1<<48 - 1, 1 << 41, 1<<41 - 1, 1, 0} {
		for _, seq := range []chat.Sequence{1<<53 - 1, 1 << 48, 2, 1} {
			p := placeAt(milli, seq)
			if p.milli() != milli || p.sequence() != seq {
				t.Errorf("place of %d, %d is that of %d, %d", milli, seq, p.milli(), p.sequence())
			}
			if hit := p.hit("room"); placeOf(hit.Time, hit.Sequence) != p {
				t.Errorf("%+v is somewhere else", hit)
			}
			if next := p.next(); next.compare(p) <= 0 || next.sequence() != seq-1 {
				t.Errorf("next of %d, %d is %d, %d", milli, seq, next.milli(), next.sequence())
			}
			places = append(places, p)
		}
	}
	if !slices.IsSortedFunc(places, place.compare) {
		t.Error("places are not from new to old")
	}
}

// TestPoison puts what could never be read again: it is refused, for good, and
// nothing that came with it is stored.
func TestPoison(t *testing.T) {
	s := memory(t)
	good := event(t, "room", "good", 1)
	for name, spoil := range map[string]func(e *chat.Event){
		"no room":                   func(e *chat.Event) { e.Stream = "" },
		"room with NUL":             func(e *chat.Event) { e.Stream = "a\x00b" },
		"no sequence":               func(e *chat.Event) { e.Sequence = 0 },
		"negative sequence":         func(e *chat.Event) { e.Sequence = -1 },
		"id with NUL":               func(e *chat.Event) { e.ID = "a\x00b" },
		"id with line feed":         func(e *chat.Event) { e.ID = "a\nb" },
		"no id":                     func(e *chat.Event) { e.ID = "" },
		"no source":                 func(e *chat.Event) { e.Source = "" },
		"source is no URI":          func(e *chat.Event) { e.Source = "http://[::1" },
		"no type":                   func(e *chat.Event) { e.Type = "" },
		"data is not JSON":          func(e *chat.Event) { e.Data = json.RawMessage(`{"text":`) },
		"data is not UTF-8":         func(e *chat.Event) { e.Data = json.RawMessage("{\"text\":\"\xff\"}") },
		"extension is an attribute": func(e *chat.Event) { e.Extensions = map[string]string{"id": "x"} },
		"bad extension name":        func(e *chat.Event) { e.Extensions = map[string]string{"Not-A-Name": "x"} },
	} {
		bad := event(t, "room", "bad", 2)
		spoil(&bad)
		if err := s.Events().Put(t.Context(), []chat.Event{good, bad}); chat.KindOf(err) != chat.Invalid {
			t.Errorf("%s: got %v, want an Invalid error", name, err)
		}
	}
	wantFilledEvents(t, s, 0)
	for name, d := range map[string]chat.Document{
		"no room":       {Sequence: 1},
		"no sequence":   {Room: "room"},
		"empty term":    {Room: "room", Sequence: 1, Terms: []string{""}},
		"term with NUL": {Room: "room", Sequence: 1, Terms: []string{"a\x00b"}},
	} {
		if err := s.Index().Put(t.Context(), []chat.Document{d}); chat.KindOf(err) != chat.Invalid {
			t.Errorf("%s: got %v, want an Invalid error", name, err)
		}
	}
	for name, data := range map[string]string{"no user": `{}`, "user with NUL": `{"user":"a\u0000b"}`, "not an object": `7`} {
		bad := event(t, "room", "bad", 2)
		bad.Type, bad.Data = chat.MemberJoined, json.RawMessage(data)
		if err := s.Rooms().Apply(t.Context(), []chat.Event{bad}); chat.KindOf(err) != chat.Invalid {
			t.Errorf("%s: got %v, want an Invalid error", name, err)
		}
	}
}

// TestAttemptsAreSwept checks that counts of long ended windows go.
func TestAttemptsAreSwept(t *testing.T) {
	s := memory(t)
	start := time.Unix(1<<31, 0)
	for hour := range 5 {
		for _, key := range []string{"a", "b"} {
			_, err := s.Attempts().Attempt(t.Context(), key, time.Minute, start.Add(time.Duration(hour)*time.Hour))
			must(t, err)
		}
	}
	it, err := s.iterate(t.Context(), []byte{kindAttempt})
	must(t, err)
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	must(t, it.Close())
	if n != 4 {
		t.Errorf("%d counts are left, want those of the last two hours", n)
	}
}

// No two kinds of rows are one: this does not compile otherwise.
var _ = map[byte]bool{
	kindSchema:        true,
	kindLineage:       true,
	kindProgress:      true,
	kindMessage:       true,
	kindEvent:         true,
	kindFirst:         true,
	kindAbout:         true,
	kindLife:          true,
	kindReaction:      true,
	kindPinned:        true,
	kindMention:       true,
	kindRoom:          true,
	kindMember:        true,
	kindRead:          true,
	kindRoomOf:        true,
	kindInvited:       true,
	kindOwner:         true,
	kindCount:         true,
	kindAccount:       true,
	kindEmail:         true,
	kindFriend:        true,
	kindSession:       true,
	kindAttempt:       true,
	kindInvite:        true,
	kindInviteOf:      true,
	kindRoute:         true,
	kindRecent:        true,
	kindNewest:        true,
	kindPosting:       true,
	kindSender:        true,
	kindLatePosting:   true,
	kindLateSender:    true,
	kindDocument:      true,
	kindRemoved:       true,
	kindAnalysis:      true,
	kindChange:        true,
	kindAwaited:       true,
	kindEditedPosting: true,
	kindEditedSender:  true,
}
