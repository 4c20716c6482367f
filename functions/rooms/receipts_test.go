package rooms

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/function"
)

// receipts are who has read up to where, or "hidden".
func (p *person) receipts(room string) string {
	p.x.Helper()
	var got struct {
		Hidden   bool
		Receipts []struct{ User, UpTo string }
	}
	b, err := json.Marshal(p.does("GET", "/v1/rooms/"+room+"/receipts", nil, 200))
	if err != nil || json.Unmarshal(b, &got) != nil || !strings.Contains(string(b), `"receipts":[`) {
		p.x.Fatalf("%s, %v", b, err)
	}
	if got.Hidden && len(got.Receipts) == 0 {
		return "hidden"
	}
	return receiptsOf(got.Receipts)
}

func receiptsOf(list []struct{ User, UpTo string }) string {
	var all []string
	for _, r := range list {
		all = append(all, r.User+" "+r.UpTo)
	}
	return strings.Join(all, ", ")
}

func wantReceipts(of map[*person]chat.Sequence) string {
	var list []struct{ User, UpTo string }
	for p, upTo := range of {
		list = append(list, struct{ User, UpTo string }{string(p.id), upTo.String()})
	}
	slices.SortFunc(list, func(a, b struct{ User, UpTo string }) int { return strings.Compare(a.User, b.User) })
	return receiptsOf(list)
}

// What was acknowledged is in the receipts, whether or not it is stored.
func TestReceipts(t *testing.T) {
	x := setUp(t)
	alice, bob, eve := x.person("alice"), x.person("bob"), x.person("eve")
	room := alice.creates("room")
	bob.joins(room)
	equal(t, "nothing read", alice.receipts(room), wantReceipts(map[*person]chat.Sequence{alice: 0, bob: 0}))
	first := alice.logs("1", chat.MessagePosted, room, chat.Posted{Text: "hi"})
	bob.logs("2", chat.ReadAdvanced, room, chat.ReadData{UpTo: first.Sequence})
	want := wantReceipts(map[*person]chat.Sequence{alice: 0, bob: first.Sequence})
	equal(t, "bob has read; alice has only written", alice.receipts(room), want)
	equal(t, "as bob sees it", bob.receipts(room), want)
	bob.logs("3", chat.ReadAdvanced, room, chat.ReadData{UpTo: 1})
	equal(t, "a mark that goes back", alice.receipts(room), want)
	far := alice.logs("4", chat.ReadAdvanced, room, chat.ReadData{UpTo: 1<<53 - 1})
	equal(t, "a mark beyond the end", bob.receipts(room), wantReceipts(map[*person]chat.Sequence{alice: far.Sequence, bob: first.Sequence}))
	bob.leaves(room, 204)
	equal(t, "bob has left", alice.receipts(room), wantReceipts(map[*person]chat.Sequence{alice: far.Sequence}))
	bob.joins(room)
	equal(t, "and is back", alice.receipts(room), wantReceipts(map[*person]chat.Sequence{alice: far.Sequence, bob: 0}))

	eve.does("GET", "/v1/rooms/"+room+"/receipts", nil, 403)
	eve.does("GET", "/v1/rooms/nowhere/receipts", nil, 404)
	direct := alice.does("POST", "/v1/direct", object{"user": bob.id}, 201)["id"].(string)
	eve.does("GET", "/v1/rooms/"+direct+"/receipts", nil, 404)
	equal(t, "of two", bob.receipts(direct), wantReceipts(map[*person]chat.Sequence{alice: 0, bob: 0}))
}

func TestReceiptsOfLargeRooms(t *testing.T) {
	x := setUp(t)
	alice, bob, carol := x.person("alice"), x.person("bob"), x.person("carol")
	room := alice.creates("room")
	ask := func(most int) string {
		f := New(function.Deps{Stores: x.store.Stores(), Log: x.log, Verifier: x.f.verifier, Config: function.Config{ReceiptsMembers: most}})
		r := httptest.NewRequest(http.MethodGet, "/v1/rooms/"+room+"/receipts", nil)
		r.Header.Set("Authorization", "Bearer "+alice.token)
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		return strings.TrimSpace(w.Body.String())
	}
	const hidden = `{"hidden":true,"receipts":[]}`
	for n, p := range []*person{nil, bob, carol} {
		if p != nil {
			p.joins(room)
		}
		for most := 0; most <= 4; most++ {
			members := strings.Count(ask(most), `"user"`)
			want := n + 1
			if most < n+1 {
				want = 0
			}
			if got := ask(most); members != want || (got == hidden) != (want == 0) {
				t.Errorf("%d members, at most %d: %s", n+1, most, got)
			}
		}
	}
	carol.leaves(room, 204)
	if got, want := ask(2), fmt.Sprintf(`{"receipts":[{"user":%q`, min(alice.id, bob.id)); !strings.HasPrefix(got, want) {
		t.Errorf("again small: %s", got)
	}
}
