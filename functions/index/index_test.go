package index

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/analysis"
	"knatter.dev/chat/internal/facts"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/pebble/pebbletest"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/store"
)

func openIndex(t *testing.T) chat.SearchIndex {
	t.Helper()
	store := pebbletest.Memory(t)
	return store.Index()
}

func over(index chat.SearchIndex) *Function {
	return New(function.Deps{Stores: store.Stores{Index: index}})
}

func logged(t *testing.T, id string, s chat.Sequence, typ chat.Type, data any) chat.Event {
	t.Helper()
	e, err := chat.NewEvent(id, "alice", typ, "room", data)
	if err != nil {
		t.Fatal(err)
	}
	e.Sequence = s
	return e
}

// found are the sequences of what the index has for a query.
func found(t *testing.T, index chat.SearchIndex, query string) []chat.Sequence {
	t.Helper()
	hits, _, err := index.Search(t.Context(), chat.Query{Rooms: []chat.RoomID{"room"}, Words: analysis.Words(query), Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	sequences := []chat.Sequence{}
	for _, h := range hits {
		sequences = append(sequences, h.Sequence)
	}
	slices.Sort(sequences)
	return sequences
}

func postings(t *testing.T, index chat.SearchIndex) []string {
	t.Helper()
	var all []string
	err := index.Dump(t.Context(), func(room chat.RoomID, term string, h chat.Hit) error {
		all = append(all, fmt.Sprintln(room, term, h.Sequence, h.Time.UnixMilli()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestIndexesMessages(t *testing.T) {
	index := openIndex(t)
	f := over(index)
	onStream := logged(t, "c", 4, chat.MessagePosted, chat.Posted{Text: "회의 사본"})
	onStream.Stream = chat.StreamOf("alice")
	err := f.HandleEvents(t.Context(), []chat.Event{
		logged(t, "a", 1, chat.MessagePosted, chat.Posted{Text: "회의록을 공유해 주세요"}),
		logged(t, "b", 2, chat.RoomUpdated, chat.RoomData{Name: "회의"}),
		logged(t, "r", 3, chat.RouteOpened, chat.RouteData{}),
		onStream,
		logged(t, "d", 5, chat.MessagePosted, chat.Posted{Text: "?!"}),
		logged(t, "e", 6, chat.MessagePosted, chat.Posted{Text: "회의에서 만났어요"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string][]chat.Sequence{"회의": {1, 6}, "만나다": {6}, "공유 회의록": {1}, "사본": {}} {
		if got := found(t, index, query); !slices.Equal(got, want) {
			t.Errorf("%q: found %v, want %v", query, got, want)
		}
	}
}

func TestUnreadableMessage(t *testing.T) {
	f := over(openIndex(t))
	e := logged(t, "a", 1, chat.MessagePosted, map[string]any{"text": 1})
	if err := f.HandleEvents(t.Context(), []chat.Event{e}); err == nil || !chat.KindOf(err).Never() {
		t.Errorf("data that is no message: %v", err)
	}
}

// TestFollowsChanges: an edited message is found by its new text, a deleted one not at all.
func TestFollowsChanges(t *testing.T) {
	index := openIndex(t)
	f := over(index)
	events := []chat.Event{
		logged(t, "a", 1, chat.MessagePosted, chat.Posted{Text: "회의록을 공유해 주세요", Attachments: json.RawMessage(`[{"file":"f","type":"image/png"}]`)}),
		logged(t, "b", 2, chat.MessagePosted, chat.Posted{Text: "회의에서 만났어요", Mentions: []chat.UserID{"bob"}}),
		logged(t, "c", 3, chat.MessageEdited, chat.Edited{About: chat.About{Message: 1}, Text: "보고서 https://example.com", Mentions: []chat.UserID{chat.Everyone}}),
		logged(t, "d", 4, chat.MessageDeleted, chat.About{Message: 2}),
		logged(t, "e", 5, chat.MessageEdited, chat.Edited{About: chat.About{Message: 5}, Text: "itself"}),
		logged(t, "f", 6, chat.MessageEdited, chat.Edited{About: chat.About{Message: 1}, Text: "보고서 둘째 https://example.com", Mentions: []chat.UserID{chat.Everyone}}),
		logged(t, "c", 7, chat.MessageEdited, chat.Edited{About: chat.About{Message: 1}, Text: "보고서 https://example.com"}), // sent again
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		if err := index.Wipe(t.Context()); err != nil {
			t.Fatal(err)
		}
		for batch := range slices.Chunk(events, 1+random.IntN(len(events))) {
			if err := f.HandleEvents(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		for query, want := range map[string][]chat.Sequence{"회의록": {}, "회의": {}, "보고서": {1}, "보고서 둘째": {1}, "만나다": {}, "itself": {}} {
			if got := found(t, index, query); !slices.Equal(got, want) {
				t.Errorf("%q: found %v, want %v", query, got, want)
			}
		}
		for term, want := range map[string]bool{facts.Kinds["link"]: true, facts.Kinds["image"]: true, facts.Kinds["file"]: true, facts.Mention(chat.Everyone): true, facts.Mention("bob"): false} {
			hits, _, err := index.Search(t.Context(), chat.Query{Rooms: []chat.RoomID{"room"}, Words: []chat.Word{{Any: [][]string{{term}}}}, Limit: 10})
			if err != nil || len(hits) > 0 != want {
				t.Errorf("%q: %v, %v", term, hits, err)
			}
		}
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	}
	e := logged(t, "g", 8, chat.MessageDeleted, map[string]any{"message": 1})
	if err := f.HandleEvents(t.Context(), []chat.Event{e}); err == nil || !chat.KindOf(err).Never() {
		t.Errorf("a deletion of nothing: %v", err)
	}
}

// TestRebuilt: an index built again from the log, in another order and with
// repetitions, equals the old one, and of a resent message the first is in it.
func TestRebuilt(t *testing.T) {
	var events []chat.Event
	for i := range 40 {
		s := chat.Sequence(i + 1)
		text := fmt.Sprintf("메시지 %d: 회의록을 %d번 공유했다", i, i%7)
		events = append(events, logged(t, fmt.Sprint("id", i-i%2), s, chat.MessagePosted, chat.Posted{Text: text}))
	}
	for i := range 10 {
		about := chat.About{Message: chat.Sequence(1 + 4*i)}
		events = append(events, logged(t, fmt.Sprint("deleted", i), chat.Sequence(100+i), chat.MessageDeleted, about))
		about.Message += 2
		events = append(events, logged(t, fmt.Sprint("edited", i), chat.Sequence(200+i), chat.MessageEdited, chat.Edited{About: about, Text: fmt.Sprint("회의록 ", i)}))
	}
	index := openIndex(t)
	f := over(index)
	if err := f.HandleEvents(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	want := postings(t, index)
	if len(want) == 0 || len(found(t, index, "회의록")) != 10 {
		t.Fatalf("%d postings, found %v", len(want), found(t, index, "회의록"))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		if err := index.Wipe(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := append(slices.Clone(events), events[:10]...)
		random.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		for batch := range slices.Chunk(again, 7) {
			if err := f.HandleEvents(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		if got := postings(t, index); !slices.Equal(got, want) {
			t.Fatalf("%d postings after rebuilding, %d before", len(got), len(want))
		}
	}
}

func post(f http.Handler, offset int, data string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/", strings.NewReader(data))
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": fmt.Sprint("id", offset), "Ce-Source": "/users/alice", "Ce-Type": string(chat.MessagePosted),
		"Ce-Subject": "room", "Ce-Time": "2026-03-01T12:00:00.000Z", "Ce-Partitionkey": "room",
		"Ce-Knativekafkaoffset": fmt.Sprint(offset), "Ce-Knativekafkapartition": "3", "Content-Type": "application/json",
	} {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// TestHandle: events come one by one over HTTP, many at a time.
func TestHandle(t *testing.T) {
	index := openIndex(t)
	f := serve.Events(Spec.Events(function.Deps{Stores: store.Stores{Index: index}}), nil)
	const n = 90
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if w := post(f, i+1, fmt.Sprintf(`{"text":"%d번째 회의"}`, i)); w.Code != http.StatusNoContent {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
		})
	}
	wg.Wait()
	if got := len(found(t, index, "회의")); got != n {
		t.Errorf("found %d", got)
	}
	if w := post(f, n+1, `{"text":[]}`); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("unreadable message: status %d: %s", w.Code, w.Body)
	}
}
