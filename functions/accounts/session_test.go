package accounts

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/function"
)

// revocations are the sessions that the connectors of a user were told to close.
func (x *fixture) revocations(user chat.UserID) (sessions []string) {
	x.Helper()
	events, err := x.log.Tail(x.Context(), chat.StreamOf(user))
	if err != nil {
		x.Fatal(err)
	}
	for _, e := range events {
		var d chat.RevokedData
		if err := e.Decode(&d); err != nil || e.Type != chat.SessionRevoked || chat.StreamID(e.Room) != chat.StreamOf(user) {
			x.Errorf("unexpected event %+v: %v", e, err)
		}
		sessions = append(sessions, d.Session)
	}
	return sessions
}

func TestLogIn(t *testing.T) {
	x := setUpWithLog(t, nil)
	id := x.signUp("minji")
	a := x.do("POST", "/v1/sessions", "", object{"email": "MINJI@example.org", "password": password}).want(200)
	got := a.body()
	user := got["user"].(object)
	if len(got) != 4 || got["expiresIn"] != 900.0 || user["id"] != string(id) || user["nickname"] != "minji" {
		t.Errorf("answer %v", got)
	}
	if a.Header().Get("Cache-Control") != "no-store" {
		t.Error("tokens may be cached")
	}
	claims, err := x.f.verifier.Verify(t.Context(), got["accessToken"].(string))
	if err != nil || claims.User != id || claims.Nickname != "minji" {
		t.Errorf("claims %+v, %v", claims, err)
	}
	session, err := x.store.Sessions().Session(t.Context(), claims.Session)
	if err != nil || strings.Contains(got["refreshToken"].(string), session.Refresh) || session.Refresh == "" {
		t.Errorf("session %+v, %v", session, err)
	}
	if me := x.do("GET", "/v1/me", got["accessToken"].(string), nil).want(200).body(); me["email"] != "minji@example.org" {
		t.Errorf("me %v", me)
	}
}

// TestLogInTellsNothing is about an address with an account and one without: the
// answers to wrong passwords, and to too many of them, are the same.
func TestLogInTellsNothing(t *testing.T) {
	x := setUpWithLog(t, nil)
	x.f.Limits = Limits{Delay: 24 * time.Hour} // longer than it takes on any machine
	x.signUp("minji")
	answers := make(map[string]string)
	for _, email := range []string{"minji@example.org", "nobody@example.org", "not an address"} {
		var all strings.Builder
		for range 12 {
			a := x.do("POST", "/v1/sessions", "", object{"email": email, "password": "wrong password"})
			fmt.Fprintln(&all, a.Code, a.Header().Get("Retry-After") != "", a.Body)
		}
		answers[email] = all.String()
	}
	first := answers["minji@example.org"]
	for email, all := range answers {
		if all != first {
			t.Errorf("%s:\n%s\nwant as the other:\n%s", email, all, first)
		}
	}
	if strings.Count(first, "401 false") != 10 || strings.Count(first, "429 true") != 2 {
		t.Errorf("answers:\n%s", first)
	}
	x.do("POST", "/v1/sessions", "", object{"email": "MINJI@example.org", "password": password}).want(429)
	x.from("2001:db8::1", "POST", "/v1/sessions", "", object{"email": "minji@example.org", "password": password}).want(200)
}

// TestLogInAlwaysHashes shows it without a clock: while there is no room to hash,
// an address without an account waits as one with does.
func TestLogInAlwaysHashes(t *testing.T) {
	x := setUpWithLog(t, nil)
	x.signUp("minji")
	x.f.hasher.turn <- struct{}{}
	for _, email := range []string{"minji@example.org", "nobody@example.org", "not an address"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, "POST", "/v1/sessions", strings.NewReader(`{"email":"`+email+`","password":"wrong password"}`))
		w := httptest.NewRecorder()
		x.f.ServeHTTP(w, r)
		if got := (answer{w, t}).want(503).Header().Get("Retry-After"); got == "" {
			t.Error("503 without Retry-After")
		}
	}
}

func TestRefreshRotates(t *testing.T) {
	x := setUpWithLog(t, nil)
	x.signUp("minji")
	first := x.logIn("minji")
	var second tokens
	x.do("POST", "/v1/sessions/refresh", "", object{"refreshToken": first.Refresh}).want(200).into(&second)
	if second.Refresh == first.Refresh || second.User != first.User || second.ExpiresIn != 900 {
		t.Errorf("refreshed: %+v", second)
	}
	x.do("GET", "/v1/me", second.Access, nil).want(200)
	x.do("POST", "/v1/sessions/refresh", "", object{"refreshToken": second.Refresh}).want(200)
	for _, token := range []string{"", ".", "a", "a.b", second.Access, strings.Repeat("a", 10000)} {
		x.do("POST", "/v1/sessions/refresh", "", object{"refreshToken": token}).want(401)
	}
}

func (x *fixture) refreshed(token string) (next tokens) {
	x.Helper()
	x.do("POST", "/v1/sessions/refresh", "", object{"refreshToken": token}).want(200).into(&next)
	return next
}

// Two tabs refresh at once, and their requests reach different instances.
func TestRefreshTwiceAtOnce(t *testing.T) {
	x := setUp(t)
	id := x.signUp("minji")
	other := New(function.Deps{Stores: x.store.Stores(), Log: x.log, Signer: x.f.signer})
	first := x.logIn("minji")
	got := make([]tokens, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			y := fixture{T: t, f: []*Function{x.f, other}[i%2], store: x.store, log: x.log}
			got[i] = y.refreshed(first.Refresh)
		})
	}
	wg.Wait()
	for _, g := range got {
		if g.Refresh != got[0].Refresh || g.Refresh == first.Refresh {
			t.Fatalf("one got %s, another %s", got[0].Refresh, g.Refresh)
		}
		x.do("GET", "/v1/me", g.Access, nil).want(200)
	}
	if next := x.refreshed(got[0].Refresh); next.Refresh == got[0].Refresh {
		t.Error("the successor has none of its own")
	}
	if got := x.revocations(id); len(got) != 0 {
		t.Errorf("connectors were told to close %v", got)
	}
}

// A token that is used again when its successor has been used, or after the grace,
// is in two hands.
func TestReuseRevokesTheFamily(t *testing.T) {
	for name, use := range map[string]func(x *fixture, stolen tokens) (latest string){
		"the one before the one before": func(x *fixture, stolen tokens) string {
			return x.refreshed(x.refreshed(stolen.Refresh).Refresh).Refresh
		},
		"late": func(x *fixture, stolen tokens) string {
			session, secret, _ := strings.Cut(stolen.Refresh, ".")
			next := x.f.refresher.next(session, secret)
			if _, err := x.store.Sessions().Rotate(x.Context(), session, hashOf(stolen.Refresh), hashOf(next),
				chat.Now().Add(-chat.RefreshGrace), chat.Now().Add(refreshFor)); err != nil {
				x.Fatal(err)
			}
			return next
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := setUp(t)
			id := x.signUp("minji")
			stolen, other := x.logIn("minji"), x.logIn("minji")
			latest := use(x, stolen)
			for range 2 {
				x.do("POST", "/v1/sessions/refresh", "", object{"refreshToken": stolen.Refresh}).want(401)
			}
			x.do("POST", "/v1/sessions/refresh", "", object{"refreshToken": latest}).want(401)
			x.do("GET", "/v1/me", stolen.Access, nil).want(401)
			x.do("GET", "/v1/me", other.Access, nil).want(200)
			session, _, _ := strings.Cut(stolen.Refresh, ".")
			if got := x.revocations(id); len(got) != 1 || got[0] != session {
				t.Errorf("connectors were told %v, want %s", got, session)
			}
		})
	}
}

// Who knows a session's ID, as its own user does of any session, cannot end it.
func TestMadeUpRefreshTokenEndsNothing(t *testing.T) {
	x := setUp(t)
	id := x.signUp("minji")
	login, other := x.logIn("minji"), x.logIn("minji")
	session, secret, _ := strings.Cut(login.Refresh, ".")
	_, foreign, _ := strings.Cut(other.Refresh, ".")
	last := secret[len(secret)-1:]
	for name, made := range map[string]string{
		"any":             "secret",
		"of our length":   encoding.EncodeToString(make([]byte, secretBytes+markBytes)),
		"cut off":         secret[:len(secret)-1],
		"with more":       secret + last,
		"changed":         secret[:len(secret)-1] + map[bool]string{true: "B", false: "A"}[last == "A"],
		"another's":       foreign,
		"not base64":      strings.Repeat("!", len(secret)),
		"of another key":  strings.TrimPrefix(refresher{key: []byte("another")}.first(session), session+"."),
		"an access token": login.Access,
	} {
		if got := x.do("POST", "/v1/sessions/refresh", "", object{"refreshToken": session + "." + made}); got.Code != 401 {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
	x.do("GET", "/v1/me", login.Access, nil).want(200)
	if got := x.revocations(id); len(got) != 0 {
		t.Errorf("connectors were told to close %v", got)
	}
	x.refreshed(login.Refresh)
}

// Sessions of before tokens had a mark go on.
func TestRefreshTokenWithoutMark(t *testing.T) {
	x := setUp(t)
	id := x.signUp("minji")
	old := "session.c2VjcmV0"
	if err := x.store.Sessions().Open(t.Context(), chat.Session{ID: "session", User: id, Refresh: hashOf(old), Created: chat.Now(), Expires: chat.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if next := x.refreshed(old); next.Refresh != x.refreshed(old).Refresh {
		t.Error("not the same successor")
	}
}

func TestLogOut(t *testing.T) {
	x := setUp(t)
	id := x.signUp("minji")
	gone, other := x.logIn("minji"), x.logIn("minji")
	for range 2 { // again is as good as once
		x.do("DELETE", "/v1/sessions", gone.Access, nil).want(204)
	}
	x.do("GET", "/v1/me", gone.Access, nil).want(401)
	x.do("POST", "/v1/sessions/refresh", "", object{"refreshToken": gone.Refresh}).want(401)
	x.do("GET", "/v1/me", other.Access, nil).want(200)
	x.do("DELETE", "/v1/sessions", "", nil).want(401)
	session, _, _ := strings.Cut(gone.Refresh, ".")
	if got := x.revocations(id); len(got) != 2 || got[0] != session || got[1] != session {
		t.Errorf("connectors were told %v, want %s twice", got, session)
	}
}
