package search

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"knatter.dev/chat"
	"knatter.dev/chat/functions/index"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/auth/authtest"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/pebble"
	"knatter.dev/chat/internal/pebble/pebbletest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fixture is the function over a real store, with the index function beside it.
type fixture struct {
	*testing.T
	f      *Function
	index  *index.Function
	store  *pebble.Store
	signer *auth.Signer
	last   chat.Sequence
}

func setUp(t *testing.T) *fixture {
	t.Helper()
	store := pebbletest.Memory(t)
	signer := authtest.Signer(t)
	f := New(function.Deps{Stores: store.Stores(), Log: noTails{}, Verifier: auth.NewVerifier(signer.Keys, nil)})
	return &fixture{T: t, f: f, index: index.New(function.Deps{Stores: store.Stores()}), store: store, signer: signer}
}

// noTails is a log of which the stores have all.
type noTails struct{ chat.Log }

func (noTails) Tails(context.Context) (chat.Tails, error) { return noTails{}, nil }

func (noTails) Of(chat.StreamID) []chat.Event { return nil }

func (noTails) Begin(chat.StreamID) chat.Sequence { return 0 }

func (x *fixture) event(user chat.UserID, typ chat.Type, room chat.RoomID, data any) chat.Event {
	x.Helper()
	x.last++
	e, err := chat.NewEvent(fmt.Sprint("id", x.last), user, typ, room, data)
	if err != nil {
		x.Fatal(err)
	}
	e.Sequence = x.last
	e.Time = noon.Add(time.Duration(x.last) * time.Minute)
	return e
}

func (x *fixture) member(room chat.RoomID, user chat.UserID, typ chat.Type) {
	x.Helper()
	e := x.event(user, typ, room, chat.MemberData{User: user, Nickname: strings.ToUpper(string(user)), Role: chat.Plain})
	if err := x.store.Rooms().Apply(x.Context(), []chat.Event{e}); err != nil {
		x.Fatal(err)
	}
}

func (x *fixture) indexes(e chat.Event) {
	x.Helper()
	if err := x.index.HandleEvents(x.Context(), []chat.Event{e}); err != nil {
		x.Fatal(err)
	}
}

func (x *fixture) stores(e chat.Event) {
	x.Helper()
	if err := x.store.Events().Put(x.Context(), []chat.Event{e}); err != nil {
		x.Fatal(err)
	}
}

func (x *fixture) posts(user chat.UserID, room chat.RoomID, text string) chat.Event {
	x.Helper()
	e := x.event(user, chat.MessagePosted, room, chat.Posted{Text: text})
	x.stores(e)
	x.indexes(e)
	return e
}

func (x *fixture) get(user chat.UserID, query string) *httptest.ResponseRecorder {
	x.Helper()
	r := httptest.NewRequest("GET", "/v1/search?"+query, nil)
	if user != "" {
		token, err := x.signer.Sign(auth.Claims{User: user, Nickname: "N", Session: "s", Expires: time.Now().Add(time.Minute)})
		if err != nil {
			x.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	x.f.ServeHTTP(w, r)
	return w
}

// finds searches, with parameters as name, value, name, value…
func (x *fixture) finds(user chat.UserID, parameters ...string) answer {
	x.Helper()
	values := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		values.Set(parameters[i], parameters[i+1])
	}
	w := x.get(user, values.Encode())
	var a answer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusOK {
		x.Fatalf("%v: status %d: %s", parameters, w.Code, w.Body)
	}
	return a
}

func texts(a answer) []string {
	list := []string{}
	for _, h := range a.Hits {
		list = append(list, h.Text)
	}
	return list
}

func TestHits(t *testing.T) {
	x := setUp(t)
	x.member("r1", "alice", chat.MemberJoined)
	x.member("r1", "bob", chat.MemberJoined)
	e := x.posts("bob", "r1", "🎉 회의록을 공유해 주세요")
	x.member("r1", "bob", chat.MemberLeft) // the nickname stays known

	w := x.get("alice", "q="+url.QueryEscape("공유 회의"))
	want := fmt.Sprintf(`{"hits":[{"room":"r1","sequence":"%s","id":"%s","user":"bob","nickname":"BOB","text":"🎉 회의록을 공유해 주세요","time":"%s","highlights":[[3,5],[8,10]]}]}`,
		e.Sequence, e.ID, e.Time.Format("2006-01-02T15:04:05.000Z")) + "\n"
	if w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("status %d, got  %s, want %s", w.Code, w.Body, want)
	}
	units := utf16.Encode([]rune("🎉 회의록을 공유해 주세요"))
	if got := string(utf16.Decode(units[3:5])); got != "회의" {
		t.Errorf("highlighted %q", got)
	}
	if w := x.get("alice", "q=%3F%21"); w.Body.String() != "{\"hits\":[]}\n" {
		t.Errorf("nothing searchable: %s", w.Body)
	}
}

func TestOnlyTheCallersRooms(t *testing.T) {
	x := setUp(t)
	for _, room := range []chat.RoomID{"r1", "r2", "r3"} {
		x.member(room, "bob", chat.MemberJoined)
		x.posts("bob", room, "회의 "+string(room))
	}
	x.member("r1", "alice", chat.MemberJoined)
	x.member("r2", "alice", chat.MemberJoined)
	x.member("r2", "alice", chat.MemberRemoved)

	if got := texts(x.finds("alice", "q", "회의")); !slices.Equal(got, []string{"회의 r1"}) {
		t.Errorf("alice finds %q", got)
	}
	if got := texts(x.finds("bob", "q", "회의")); !slices.Equal(got, []string{"회의 r3", "회의 r2", "회의 r1"}) {
		t.Errorf("bob finds %q", got)
	}
	if got := texts(x.finds("bob", "q", "회의", "room", "r2")); !slices.Equal(got, []string{"회의 r2"}) {
		t.Errorf("bob finds in r2 %q", got)
	}
	if got := texts(x.finds("nobody", "q", "회의")); len(got) != 0 {
		t.Errorf("somebody without rooms finds %q", got)
	}
	for _, room := range []string{"r2", "r3", "r4"} {
		if w := x.get("alice", "q=a&room="+room); w.Code != http.StatusForbidden {
			t.Errorf("alice in %s: status %d: %s", room, w.Code, w.Body)
		}
	}
	// A cursor opens no room.
	cursor := formatCursor(chat.Hit{Room: "r3", Sequence: 1000, Time: noon.Add(1000 * time.Hour)})
	if got := texts(x.finds("alice", "q", "회의", "cursor", cursor)); !slices.Equal(got, []string{"회의 r1"}) {
		t.Errorf("alice finds with another's cursor %q", got)
	}
}

func TestFilters(t *testing.T) {
	x := setUp(t)
	x.member("r1", "alice", chat.MemberJoined)
	x.member("r1", "bob", chat.MemberJoined)
	a := x.posts("alice", "r1", "run one")
	b := x.posts("bob", "r1", "running two")
	c := x.posts("alice", "r1", "runs three")

	for _, tt := range []struct {
		parameters []string
		want       []string
	}{
		{nil, []string{"runs three", "running two", "run one"}},
		{[]string{"from", "alice"}, []string{"runs three", "run one"}},
		{[]string{"from", "carol"}, []string{}},
		{[]string{"after", b.Time.Format(time.RFC3339)}, []string{"runs three", "running two"}},
		{[]string{"before", b.Time.Format(time.RFC3339)}, []string{"run one"}},
		{[]string{"after", a.Time.Add(time.Millisecond).Format(time.RFC3339Nano), "before", c.Time.In(time.FixedZone("", 9*3600)).Format(time.RFC3339)}, []string{"running two"}},
		{[]string{"after", "2026-03-01"}, []string{"runs three", "running two", "run one"}},
		{[]string{"after", "2026-03-02"}, []string{}},
		{[]string{"before", "2026-03-01"}, []string{}},
		{[]string{"limit", "1"}, []string{"runs three"}},
	} {
		if got := texts(x.finds("alice", append([]string{"q", "run"}, tt.parameters...)...)); !slices.Equal(got, tt.want) {
			t.Errorf("%q: found %q, want %q", tt.parameters, got, tt.want)
		}
	}
}

// TestPages: the pages of any size are together what one page is, although the
// index has matches which are none, or which the store doesn't have yet.
func TestPages(t *testing.T) {
	x := setUp(t)
	x.member("r1", "alice", chat.MemberJoined)
	x.member("r2", "alice", chat.MemberJoined)
	var want []string
	for i := range 60 {
		room := chat.RoomID(fmt.Sprint("r", 1+i%2))
		switch {
		case i%10 == 3: // all pairs, but apart
			x.posts("bob", room, "한국어와 국어학")
		case i%10 == 5 || i > 57:
			x.indexes(x.event("bob", chat.MessagePosted, room, chat.Posted{Text: "한국어학 개론"}))
		default:
			want = append(want, x.posts("bob", room, fmt.Sprint("한국어학 개론 ", i)).Sequence.String())
		}
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 2, 7, 20, len(want), 100} {
		var got []string
		cursor := ""
		for pages := 0; ; pages++ {
			a := x.finds("alice", "q", "한국어학", "limit", fmt.Sprint(limit), "cursor", cursor)
			for _, h := range a.Hits {
				got = append(got, h.Sequence.String())
			}
			if cursor = a.Cursor; cursor == "" {
				break
			}
			if len(a.Hits) != limit || pages > len(want) {
				t.Fatalf("limit %d: page of %d", limit, len(a.Hits))
			}
			if url.QueryEscape(cursor) != cursor {
				t.Errorf("cursor %q needs escaping", cursor)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: found %q, want %q", limit, got, want)
		}
	}
}

// TestFewHitsAmongManyMatches: a request looks at a bounded number of matches, and
// the cursor goes on behind them.
func TestFewHitsAmongManyMatches(t *testing.T) {
	x := setUp(t)
	x.member("r1", "alice", chat.MemberJoined)
	x.posts("bob", "r1", "한국어학")
	for range maxExamined + 50 {
		x.posts("bob", "r1", "한국어와 국어학")
	}
	a := x.finds("alice", "q", "한국어학", "limit", "100")
	if len(a.Hits) != 0 || a.Cursor == "" {
		t.Fatalf("first page: %d hits, cursor %q", len(a.Hits), a.Cursor)
	}
	a = x.finds("alice", "q", "한국어학", "limit", "100", "cursor", a.Cursor)
	if len(a.Hits) != 1 || a.Cursor != "" {
		t.Errorf("second page: %d hits, cursor %q", len(a.Hits), a.Cursor)
	}
}

func TestRefused(t *testing.T) {
	x := setUp(t)
	x.member("r1", "alice", chat.MemberJoined)
	for query, status := range map[string]int{
		"":                               422,
		"q=":                             422,
		"q=" + strings.Repeat("a", 200):  200,
		"q=" + strings.Repeat("%20", 10): 200,
		"q=" + strings.Repeat("a", 201):  422,
		"q=" + strings.Repeat("%EA%B0%80%20", 100): 200,
		"q=%ff":                 422,
		"q=a&limit=0":           422,
		"q=a&limit=101":         422,
		"q=a&limit=x":           422,
		"q=a&room=@alice":       422,
		"q=a&room=%2F":          422,
		"q=a&from=%2F":          422,
		"q=a&after=yesterday":   422,
		"q=a&before=2026-02-30": 422,
		"q=a&cursor=%21":        422,
		"q=a&cursor=YWJj":       422,
		"q=a&unknown=1":         200,
		"from=bob":              200,
		"has=link":              200,
		"has=Image&has=file":    200,
		"has=video":             422,
		"q=a&has=links":         422,
		"mentions=me":           200,
		"mentions=bob":          422,
		"room=r1":               422,
		"before=2026-01-01":     422,
		"q=in:r1":               422,
		"q=from:":               422,
		"q=from:bob":            200,
		"q=has:link":            200,
		"q=has:video":           422,
		"q=a+before:tomorrow":   422,
		"q=a+after:":            200,
		"q=a&tz=Asia/Seoul":     200,
		"q=a&tz=Local":          422,
		"q=a&tz=Mars/Olympus":   422,
		"q=a&tz=../etc/passwd":  422,
		"q=a&before=0001-01-01": 200,
		"q=a&after=9999-12-31":  200,
		"q=a&cursor=" + formatCursor(chat.Hit{Room: "r1", Sequence: 1, Time: noon}): 200,
	} {
		if w := x.get("alice", query); w.Code != status {
			t.Errorf("%s: status %d, want %d: %s", query, w.Code, status, w.Body)
		}
	}
	if w := x.get("", "q=a"); w.Code != http.StatusUnauthorized {
		t.Errorf("no token: status %d", w.Code)
	}
}

// TestFacts: what is found by whom it mentions and what it has, and by nothing else.
func TestFacts(t *testing.T) {
	x := setUp(t)
	x.member("r1", "alice", chat.MemberJoined)
	x.member("r1", "bob", chat.MemberJoined)
	say := func(user chat.UserID, d chat.Posted) {
		e := x.event(user, chat.MessagePosted, "r1", d)
		x.stores(e)
		x.indexes(e)
	}
	say("bob", chat.Posted{Text: "plain 회의"})
	say("bob", chat.Posted{Text: "to alice 회의", Mentions: []chat.UserID{"alice", "bob"}})
	say("bob", chat.Posted{Text: "to all", Mentions: []chat.UserID{chat.Everyone}})
	say("alice", chat.Posted{Text: "to bob https://example.com", Mentions: []chat.UserID{"bob"}})
	say("alice", chat.Posted{Text: "picture", Attachments: json.RawMessage(`[{"file":"a","type":"image/png"}]`)})
	say("bob", chat.Posted{Attachments: json.RawMessage(`[{"file":"b","type":"text/plain"}]`)})
	for _, tt := range []struct {
		parameters []string
		want       []string
	}{
		{[]string{"mentions", "me"}, []string{"to all", "to alice 회의"}},
		{[]string{"mentions", "me", "q", "회의"}, []string{"to alice 회의"}},
		{[]string{"mentions", "me", "from", "alice"}, []string{}},
		{[]string{"from", "alice"}, []string{"picture", "to bob https://example.com"}},
		{[]string{"from", "bob", "limit", "2"}, []string{"", "to all"}},
		{[]string{"has", "link"}, []string{"to bob https://example.com"}},
		{[]string{"has", "file"}, []string{"", "picture"}},
		{[]string{"has", "image"}, []string{"picture"}},
		{[]string{"q", "has:file from:BOB"}, []string{""}},
		{[]string{"q", "picture has:link"}, []string{}},
		{[]string{"q", "from:alice ?!"}, []string{}},
	} {
		if got := texts(x.finds("alice", tt.parameters...)); !slices.Equal(got, tt.want) {
			t.Errorf("%q: found %q, want %q", tt.parameters, got, tt.want)
		}
	}
	if got := texts(x.finds("bob", "mentions", "me")); !slices.Equal(got, []string{"to bob https://example.com", "to all", "to alice 회의"}) {
		t.Errorf("bob is mentioned in %q", got)
	}
	if w := x.get("alice", "has=link"); !strings.Contains(w.Body.String(), `"highlights":[]`) {
		t.Errorf("without words: %s", w.Body)
	}
}

// TestCurrent: a hit has the text of now, whatever the index still has.
func TestCurrent(t *testing.T) {
	x := setUp(t)
	x.member("r1", "alice", chat.MemberJoined)
	edited, deleted := x.posts("alice", "r1", "old words here"), x.posts("alice", "r1", "recalled words here")
	edit := x.event("alice", chat.MessageEdited, "r1", chat.Edited{About: chat.About{Message: edited.Sequence}, Text: "here new words"})
	deletion := x.event("alice", chat.MessageDeleted, "r1", chat.About{Message: deleted.Sequence})
	want := func(query string, want ...string) {
		t.Helper()
		a := x.finds("alice", "q", query)
		if got := texts(a); !slices.Equal(got, append([]string{}, want...)) {
			t.Errorf("%s: found %q, want %q", query, got, want)
		}
	}
	for i, index := range []bool{false, true} {
		if index {
			x.indexes(edit)
			x.indexes(deletion)
		} else {
			x.stores(edit)
			x.stores(deletion)
		}
		want("recalled")
		want("old")
		want(`"words here"`)
		want("words", "here new words")
		want("from:alice", "here new words")
		if i == 1 {
			want("new", "here new words")
			want(`"new words"`, "here new words")
		}
	}
}

func TestOperators(t *testing.T) {
	x := setUp(t)
	room := func(id chat.RoomID, name string, kind chat.RoomKind) {
		e := x.event("alice", chat.RoomCreated, id, chat.RoomData{Name: name, Kind: kind})
		if err := x.store.Rooms().Apply(t.Context(), []chat.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	join := func(room chat.RoomID, user chat.UserID, nickname string) {
		e := x.event(user, chat.MemberJoined, room, chat.MemberData{User: user, Nickname: nickname, Role: chat.Plain})
		if err := x.store.Rooms().Apply(t.Context(), []chat.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	room("r1", "책 모임", chat.Group)
	room("r2", "Books", chat.Group)
	room("r3", "", chat.Direct)
	room("r4", "책 모임", chat.Group) // not alice's
	for _, id := range []chat.RoomID{"r1", "r2", "r3"} {
		join(id, "alice", "앨리스")
	}
	join("r1", "bob", "밥 킴")
	join("r2", "bob", "Bob")
	join("r2", "carol", "bob")
	join("r3", "bob", "Bob")
	join("r4", "bob", "Bob")
	x.posts("bob", "r1", "run one")                             // 2026-03-01
	x.last = 24 * 60                                            // 2026-03-02
	x.posts("bob", "r2", "run two")                             //
	x.posts("carol", "r2", "run three")                         //
	x.last = 2*24*60 - 600                                      // 2026-03-03T02:00Z, 11:00 in Seoul
	x.posts("bob", "r3", "run four")                            //
	x.posts("bob", "r4", "run away")                            //
	x.posts("alice", "r1", "run:fast from:nowhere before: now") //

	for q, want := range map[string][]string{
		"run":                   {"run:fast from:nowhere before: now", "run four", "run three", "run two", "run one"},
		"run from:bob":          {"run four", "run three", "run two", "run one"},
		"from:BOB":              {"run four", "run three", "run two", "run one"},
		`from:"밥 킴" run`:        {"run four", "run two", "run one"},
		"from:“밥 킴”":            {"run four", "run two", "run one"},
		"from:carol":            {"run three"},
		"from:carol from:alice": {"run:fast from:nowhere before: now", "run three"},
		"from:nobody":           {},
		"run in:books":          {"run three", "run two"},
		`run in:"책 모임"`:         {"run:fast from:nowhere before: now", "run one"},
		"run in:r1 in:r3":       {"run:fast from:nowhere before: now", "run four", "run one"},
		"run in:bob":            {"run four"},
		"run in:r4":             {},
		"run in:앨리스":            {},
		"run before:2026-03-02": {"run one"},
		"run after:2026-03-02":  {"run:fast from:nowhere before: now", "run four", "run three", "run two"},
		"run after:2026-03-03":  {"run:fast from:nowhere before: now", "run four"},
		"after:2026-03-02 before:2026-03-03 run FROM:bob": {"run three", "run two"},
		"run after:2026-03-03T02:02:00Z":                  {"run four"},
		"run after: has: in: from:":                       {"run:fast from:nowhere before: now", "run four", "run three", "run two", "run one"},
		`"from:nowhere"`:                                  {"run:fast from:nowhere before: now"},
		"run:fast":                                        {"run:fast from:nowhere before: now"},
		"run re:zero":                                     {},
		"xfrom:bob":                                       {},
	} {
		if q == "run after:2026-03-03T02:02:00Z" {
			want = texts(x.finds("alice", "q", "run", "after", "2026-03-03T02:02:00Z"))
		}
		if got := texts(x.finds("alice", "q", q)); !slices.Equal(got, want) {
			t.Errorf("%s: found %q, want %q", q, got, want)
		}
	}
	if got := texts(x.finds("alice", "q", "from:carol", "from", "bob")); len(got) != 0 {
		t.Errorf("from two: found %q", got)
	}
	// The suggestion keeps the operators.
	if a := x.finds("alice", "q", `dkssud from:"밥 킴"`); a.Suggestion != `from:"밥 킴" 안녕` {
		t.Errorf("suggestion %q", a.Suggestion)
	}
}

// TestDays: a day begins where the caller is.
func TestDays(t *testing.T) {
	for _, tt := range []struct{ day, zone, want string }{
		{"2026-11-01", "", "2026-11-01T00:00:00Z"},
		{"2026-11-01", "Asia/Seoul", "2026-10-31T15:00:00Z"},
		{"2026-11-01", "America/New_York", "2026-11-01T04:00:00Z"},
		{"2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z"}, // the clocks go forward at midnight
		{"2022-09-11", "America/Santiago", "2022-09-11T04:00:00Z"},
		{"2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z"}, // a day that was left out
	} {
		zone, err := parseZone(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseTime("after", tt.day, zone)
		if err != nil || got.UTC().Format(time.RFC3339) != tt.want {
			t.Errorf("%s in %q begins at %v, %v; want %s", tt.day, tt.zone, got.UTC(), err, tt.want)
		}
	}
}

func FuzzCutOperators(f *testing.F) {
	for _, s := range []string{"", "from:a b", `in:"a b" c`, `"from:a"`, "has:", "from：a", `from:"`, `a from:“b c” d`, "before:2026-11-01after:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, q string) {
		found, text := cutOperators(q)
		typed := []string{text}
		for _, o := range found {
			if o.value == "" || !slices.Contains(operators, o.name) {
				t.Fatalf("%q has the operator %+v", q, o)
			}
			typed = append(typed, o.String())
		}
		if len(found) == 0 && strings.TrimSpace(q) != text && !strings.Contains(q, ":") && !strings.Contains(q, "：") {
			t.Fatalf("%q became %q", q, text)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "q=회의", "q=a&limit=5&room=r1&from=u&after=2026-01-01&before=2026-01-01T00:00:00+09:00",
		"q=a&cursor=" + formatCursor(chat.Hit{Room: "r1", Sequence: 1, Time: noon}), "q=%ff", "q=a&cursor=MCAw",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		p, err := parse(values)
		if err != nil {
			if chat.KindOf(err) != chat.Invalid {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		if p.limit < 1 || p.limit > maxLimit || p.room != "" && !p.room.Valid() || p.from != "" && !p.from.Valid() {
			t.Fatalf("parsed %+v", p)
		}
		if p.cursor != (chat.Hit{}) {
			if again, err := parseCursor(formatCursor(p.cursor)); err != nil || again != p.cursor {
				t.Fatalf("cursor %+v again: %+v, %v", p.cursor, again, err)
			}
		}
	})
}

// TestSuggestion: what was typed with the wrong alphabet is suggested with the right
// one, if nothing was found; it finds nothing by itself.
func TestSuggestion(t *testing.T) {
	x := setUp(t)
	x.member("r1", "alice", chat.MemberJoined)
	x.posts("bob", "r1", "회의록을 공유해 주세요")
	x.posts("bob", "r1", "hello, 밥 먹자")
	x.posts("bob", "r1", "the code is tnf here")
	for _, tt := range []struct{ query, suggestion string }{
		{"ghldmlfhr", "회의록"},
		{"ghldmlfhr rhddb", "회의록 공유"},
		{"qkq", "밥"},      // one syllable, but there is such a message
		{"anf", ""},       // 물, which is nowhere
		{"dkssud", "안녕"},  // nowhere either, but a word
		{"ㅗ디ㅣㅐ", "hello"}, // the other way round
		{"task", ""},
		{"ㅋㅌㅍ", ""},
		{"없는 말", ""},
	} {
		a := x.finds("alice", "q", tt.query)
		if len(a.Hits) > 0 || a.Suggestion != tt.suggestion {
			t.Errorf("%q: suggestion %q, want %q; found %q", tt.query, a.Suggestion, tt.suggestion, texts(a))
		}
	}
	// What is found is not in question.
	if a := x.finds("alice", "q", "tnf"); len(a.Hits) != 1 || a.Suggestion != "" {
		t.Errorf("tnf: found %q, suggestion %q", texts(a), a.Suggestion)
	}
	// Nor is the end of the pages.
	end := formatCursor(chat.Hit{Room: "r1", Sequence: 1, Time: noon.Add(-time.Hour)})
	if a := x.finds("alice", "q", "ghldmlfhr", "cursor", end); a.Suggestion != "" {
		t.Errorf("on a later page: suggestion %q", a.Suggestion)
	}
}

// TestStale: answers say so while the index is one of an earlier analysis.
func TestStale(t *testing.T) {
	for stale, want := range map[bool]string{false: "", true: "false"} {
		x := setUp(t)
		x.member("r1", "alice", chat.MemberJoined)
		e := x.posts("bob", "r1", "회의록")
		if stale {
			doc := chat.Document{Room: e.Stream.Room(), Sequence: e.Sequence + 1, Source: e.Source, ID: "older", Time: e.Time, Terms: []string{"g큐"}}
			if err := x.store.Index().Put(t.Context(), []chat.Document{doc}); err != nil {
				t.Fatal(err)
			}
		}
		w := x.get("alice", "q=a")
		if got := w.Header().Get("Knatter-Complete"); got != want {
			t.Errorf("stale %t: Knatter-Complete is %q", stale, got)
		}
	}
}
