package tests

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/uuid"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/wait/waittest"
)

func TestSearchByFragmentsAndForms(t *testing.T) {
	t.Parallel()
	alice := common(t).someone(t, "alice")
	room := alice.Creates("Languages")
	for _, text := range []string{"회의록을 공유해 주세요", "어제 친구를 만났어요", "she was running late", "東京都庁に行きました", "Ｆｕｌｌ width CAFÉ", "nothing of interest"} {
		alice.Sends(room, text)
	}
	for _, test := range []struct{ query, text, highlight string }{
		{"회의록", "회의록을 공유해 주세요", "회의록"},
		{"회의", "회의록을 공유해 주세요", "회의"},
		{"공유", "회의록을 공유해 주세요", "공유"},
		{"의록", "회의록을 공유해 주세요", "의록"},
		{"공유해", "회의록을 공유해 주세요", "공유해"},
		{"만나다", "어제 친구를 만났어요", ""},
		{"만났어요", "어제 친구를 만났어요", "만났어요"},
		{"친구", "어제 친구를 만났어요", "친구"},
		{"run", "she was running late", ""},
		{"RUNNING late", "she was running late", ""},
		{"東京", "東京都庁に行きました", "東京"},
		{"都庁", "東京都庁に行きました", "都庁"},
		{"full", "Ｆｕｌｌ width CAFÉ", "Ｆｕｌｌ"},
		{"café", "Ｆｕｌｌ width CAFÉ", "CAFÉ"},
	} {
		var hits []client.Hit
		waittest.Until(t, test.query+" finds "+test.text, func() bool {
			hits = alice.Finds(client.Search{Text: test.query, Room: room})
			return len(hits) > 0
		})
		h := hits[0]
		if len(hits) != 1 || h.Text != test.text || h.Room != room || h.User != alice.User.ID || h.Nickname != "alice" || h.Sequence == 0 {
			t.Errorf("%s finds %+v", test.query, hits)
			continue
		}
		if marked := highlighted(h); len(h.Highlights) == 0 || test.highlight != "" && !slices.Contains(marked, test.highlight) {
			t.Errorf("%s highlights %q", test.query, marked)
		}
	}
	for _, query := range []string{"회의록 만나다", "운동회", "runner up", "京都", "nothin"} {
		if hits := alice.Finds(client.Search{Text: query, Room: room}); len(hits) > 0 && query != "京都" && query != "nothin" {
			t.Errorf("%s finds %+v", query, hits)
		}
	}
}

// highlighted are the marked parts; places are in UTF-16 code units.
func highlighted(h client.Hit) []string {
	units := utf16.Encode([]rune(h.Text))
	var parts []string
	for _, p := range h.Highlights {
		if p[0] < 0 || p[1] > len(units) || p[0] >= p[1] {
			return []string{fmt.Sprint("out of range: ", p)}
		}
		parts = append(parts, string(utf16.Decode(units[p[0]:p[1]])))
	}
	return parts
}

func TestSearchPagesAndFilters(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	one, two, foreign := alice.Creates("One"), alice.Creates("Two"), bob.Creates("Foreign")
	bob.Joins(one)
	const n = 25
	var middle chat.Event
	alice.Follows(one)
	for i := range n {
		alice.Sends(one, fmt.Sprintf("🍜 penguin number %s", word(i)))
		e := alice.Sees(fmt.Sprintf("🍜 penguin number %s", word(i)))
		if i == n/2 {
			middle = e
		}
	}
	bob.Sends(one, "bob's penguin")
	alice.Sends(two, "penguin in two")
	bob.Sends(foreign, "penguin elsewhere")
	all := client.Search{Text: "penguin", Limit: 10}
	waittest.Until(t, "all penguins are found", func() bool { return len(alice.Finds(all)) == n+2 })
	waittest.Until(t, "bob's are found", func() bool { return len(bob.Finds(all)) == n+2 })

	hits := alice.Finds(all)
	seen := make(map[string]bool)
	for i, h := range hits {
		if seen[h.Text] || h.Room == foreign || i > 0 && h.Time.After(hits[i-1].Time.Time) {
			t.Errorf("hit %d: %+v", i, h)
		}
		seen[h.Text] = true
		if got := highlighted(h); !slices.Equal(got, []string{"penguin"}) {
			t.Errorf("highlights in %q: %q", h.Text, got)
		}
	}
	if page, cursor, err := alice.Search(t.Context(), all); err != nil || len(page) != 10 || cursor == "" {
		t.Errorf("first page: %d hits, cursor %q, %v", len(page), cursor, err)
	}
	count := func(what string, s client.Search, want int) {
		t.Helper()
		s.Text = "penguin"
		if got := alice.Finds(s); len(got) != want {
			t.Errorf("%s: %d hits, want %d", what, len(got), want)
		}
	}
	count("in room two", client.Search{Room: two}, 1)
	count("from bob", client.Search{From: bob.User.ID}, 1)
	count("before the middle", client.Search{Before: middle.Time, Room: one}, countBefore(hits, middle.Time, one))
	count("from the middle on", client.Search{After: middle.Time, Room: one}, n+1-countBefore(hits, middle.Time, one))
	count("tomorrow", client.Search{After: time.Now().Add(24 * time.Hour)}, 0)
	if got := alice.Finds(client.Search{Text: "penguin " + word(3)}); len(got) != 1 || !strings.Contains(got[0].Text, word(3)) {
		t.Errorf("both words: %+v", got)
	}
	if err := bob.Leave(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if got := bob.Finds(all); len(got) != 1 || got[0].Room != foreign {
		t.Errorf("after leaving, bob finds %d", len(got))
	}
}

// What is typed into the search says who, where, when and what, and so do parameters.
func TestSearchOperators(t *testing.T) {
	t.Parallel()
	alice, bob := common(t).two(t)
	books, films := alice.Creates("Good Books"), alice.Creates("Films")
	bob.Joins(books)
	bob.Joins(films)
	alice.Sends(books, "okapi one")
	bob.Sends(books, "okapi two https://example.com/okapi")
	bob.Sends(films, "okapi three")
	for _, mention := range []chat.UserID{bob.User.ID, chat.Everyone} {
		e, err := chat.NewEvent(uuid.NewString(), alice.User.ID, chat.MessagePosted, films, chat.Posted{Text: "okapi for " + string(mention), Mentions: []chat.UserID{mention}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := alice.Post(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	waittest.Until(t, "all okapis are found", func() bool { return len(bob.Finds(client.Search{Text: "okapi"})) == 5 })

	today := time.Now().UTC()
	day := func(days int) string { return today.AddDate(0, 0, days).Format(time.DateOnly) }
	count := func(what client.Search, want int) {
		t.Helper()
		if got := bob.Finds(what); len(got) != want {
			t.Errorf("%+v: %d hits, want %d: %+v", what, len(got), want, got)
		}
	}
	for q, want := range map[string]int{
		"okapi from:" + bob.User.Nickname:              2,
		"from:" + string(alice.User.ID):                3,
		`okapi in:"good books"`:                        2,
		"okapi in:" + string(films):                    3,
		"okapi in:films from:" + bob.User.Nickname:     1,
		"okapi in:nowhere":                             0,
		"has:link":                                     1,
		"has:link from:" + alice.User.Nickname:         0,
		"okapi after:" + day(-1) + " before:" + day(2): 5,
		"okapi before:" + day(-1):                      0,
		"okapi after:" + day(2):                        0,
		`"okapi two"`:                                  1,
		`"two okapi"`:                                  0,
		"okapi why:not":                                0,
	} {
		count(client.Search{Text: q}, want)
	}
	count(client.Search{From: alice.User.ID}, 3)
	count(client.Search{Me: true}, 2)
	count(client.Search{Me: true, Text: "okapi", Room: books}, 0)
	count(client.Search{Has: []string{"link"}}, 1)
	count(client.Search{Has: []string{"link", "file"}}, 0)
	count(client.Search{Text: "okapi before:" + day(2), Zone: "Asia/Seoul"}, 5)
	for _, what := range []client.Search{{}, {Text: "in:films"}, {Text: "okapi has:wings"}, {Text: "okapi before:soon"}, {Has: []string{"wings"}}, {Text: "okapi", Zone: "Nowhere/Land"}} {
		if _, err := bob.Find(t.Context(), what); err == nil || !strings.Contains(err.Error(), "422") && chat.KindOf(err) != chat.Invalid {
			t.Errorf("%+v: %v", what, err)
		}
	}
}

// The text of an edit is found within a second of its ack, the one before no longer, and
// nothing of what was recalled.
func TestSearchFollowsEdits(t *testing.T) {
	t.Parallel()
	alice := common(t).someone(t, "alice")
	room := alice.Creates("Drafts")
	edited, recalled := alice.Sends(room, "numbat early words"), alice.Sends(room, "numbat secret words")
	find := func(q string) int { return len(alice.Finds(client.Search{Text: q})) }
	waittest.Until(t, "both are found", func() bool { return find("numbat") == 2 })
	change := func(typ chat.Type, data any) {
		t.Helper()
		e, err := chat.NewEvent(uuid.NewString(), alice.User.ID, typ, room, data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := alice.Post(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	change(chat.MessageEdited, chat.Edited{About: chat.About{Message: edited}, Text: "numbat later words"})
	change(chat.MessageDeleted, chat.About{Message: recalled})
	acked := time.Now()
	waittest.Until(t, "the text of now is found, and no other", func() bool {
		return find("later") == 1 && find("early")+find("secret") == 0 && find("numbat") == 1
	})
	t.Logf("found after %v", time.Since(acked).Round(time.Millisecond))
	for q, want := range map[string]int{`"later words"`: 1, `"words later"`: 0, `"early words"`: 0, "words": 1} {
		if got := find(q); got != want {
			t.Errorf("%s: %d hits, want %d", q, got, want)
		}
	}
}

func countBefore(hits []client.Hit, before time.Time, room chat.RoomID) int {
	n := 0
	for _, h := range hits {
		if h.Room == room && h.Time.Before(before) {
			n++
		}
	}
	return n
}

// An index rebuilt from the log finds what the old one found.
func TestReindex(t *testing.T) {
	s := own(t)
	alice := s.someone(t, "alice")
	room := alice.Creates("Archive")
	for i := range 200 {
		alice.Sends(room, fmt.Sprintf("보관 number %s", word(i)))
	}
	find := func() []client.Hit { return alice.Finds(client.Search{Text: "보관", Limit: 100}) }
	waittest.Until(t, "everything is indexed", func() bool { return len(find()) == 200 })
	old := find()
	s.Stop(t)
	s.flags = []string{"--reindex"}
	s.Start(t)
	waittest.Until(t, "everything is indexed again", func() bool { return len(find()) == 200 })
	for i, h := range find() {
		if h.Sequence != old[i].Sequence || h.Text != old[i].Text {
			t.Fatalf("hit %d was %+v and is %+v", i, old[i], h)
		}
	}
}

// tokenPayload is the middle part of a JSON web token.
func tokenPayload(t *testing.T, token string) []byte {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("not a token")
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return b
}
