package accounts

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
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
		if err := e.Decode(&d); err != nil || e.Type != chat.SessionRevoked || e.Room != chat.StreamOf(user) {
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
	for range cap(x.f.hasher.slots) {
		x.f.hasher.slots <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for _, email := range []string{"minji@example.org", "nobody@example.org", "not an address"} {
		r := httptest.NewRequestWithContext(ctx, "POST", "/v1/sessions", strings.NewReader(`{"email":"`+email+`","password":"wrong password"}`))
		w := httptest.NewRecorder()
		x.f.Handle(w, r)
		answer{w, t}.want(503)
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

func TestReuseRevokesTheFamily(t *testing.T) {
	x := setUp(t)
	id := x.signUp("minji")
	stolen, other := x.logIn("minji"), x.logIn("minji")
	var next tokens
	x.do("POST", "/v1/sessions/refresh", "", object{"refreshToken": stolen.Refresh}).want(200).into(&next)
	x.do("POST", "/v1/sessions/refresh", "", object{"refreshToken": stolen.Refresh}).want(401)
	x.do("POST", "/v1/sessions/refresh", "", object{"refreshToken": next.Refresh}).want(401)
	x.do("GET", "/v1/me", next.Access, nil).want(401)
	x.do("GET", "/v1/me", other.Access, nil).want(200)
	session, _, _ := strings.Cut(stolen.Refresh, ".")
	if got := x.revocations(id); len(got) != 1 || got[0] != session {
		t.Errorf("connectors were told %v, want %s", got, session)
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
