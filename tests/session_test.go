package tests

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/auth"
)

var fastRetry = client.Options{MaxBackoff: time.Second}

func TestHandshake(t *testing.T) {
	t.Parallel()
	s := common(t)
	for name, test := range map[string]struct {
		header http.Header
		protos []string
		status int
	}{
		"no subprotocol":      {nil, nil, http.StatusBadRequest},
		"another subprotocol": {nil, []string{"cloudevents.avro"}, http.StatusBadRequest},
		"another origin":      {http.Header{"Origin": {"https://evil.example"}}, []string{"cloudevents.json"}, http.StatusForbidden},
		"the null origin":     {http.Header{"Origin": {"null"}}, []string{"cloudevents.json"}, http.StatusForbidden},
	} {
		_, resp, err := s.tryWire(t, test.header, test.protos...)
		if err == nil || resp == nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		isProblem(t, name, resp, test.status)
	}
	w, resp, err := s.tryWire(t, http.Header{"Origin": {s.URL}}, "other", "cloudevents.json")
	if err != nil || w.ws.Subprotocol() != "cloudevents.json" {
		t.Errorf("our own page: %v, %v", resp, err)
	}
	plain, err := http.Get(s.URL + "/v1/socket")
	if err != nil {
		t.Fatal(err)
	}
	isProblem(t, "no upgrade", plain, http.StatusBadRequest)
}

func TestSessionOpens(t *testing.T) {
	t.Parallel()
	alice := common(t).someone(t, "alice")
	check := func(e chat.Event) {
		t.Helper()
		var d struct {
			User      client.User    `json:"user"`
			Session   string         `json:"session"`
			Heartbeat int            `json:"heartbeat"`
			Limits    map[string]int `json:"limits"`
		}
		if err := e.Decode(&d); err != nil || d.User.ID != alice.User.ID || d.User.Nickname != "alice" || d.Session == "" ||
			d.Heartbeat <= 0 || d.Limits["framesPerSecond"] <= 0 || d.Limits["frameBytes"] <= 0 {
			t.Errorf("session.opened: %s, %v", e.Data, err)
		}
	}
	w := common(t).wire(t)
	check(w.Opens(alice))
	w.IsAlive()
	byHeader, _, err := common(t).tryWire(t, http.Header{"Authorization": {"Bearer " + alice.token()}}, "cloudevents.json")
	if err != nil {
		t.Fatal(err)
	}
	check(byHeader.Gets(chat.SessionOpened))
	byHeader.IsAlive()
}

func TestTokensThatAreNotGood(t *testing.T) {
	t.Parallel()
	s := common(t)
	alice, bob := s.two(t)
	open := func(token string) *Wire {
		w := s.wire(t)
		w.Sends(chat.SessionOpen, "", map[string]string{"token": token})
		return w
	}
	good := alice.token()
	for _, token := range []string{"", "garbage", good[:len(good)-4] + "AAAA", good + "x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."} {
		open(token).IsClosedWith(4401)
	}
	byHeader, _, err := s.tryWire(t, http.Header{"Authorization": {"Bearer garbage"}}, "cloudevents.json")
	if err != nil {
		t.Fatal(err)
	}
	byHeader.IsClosedWith(4401)
	first := s.wire(t)
	first.Follows("room", "")
	first.IsClosedWith(4401) // session.open must come first

	w := alice.Wire()
	w.Sends(chat.SessionOpen, "", map[string]string{"token": bob.token()})
	w.IsClosedWith(4401) // somebody else's
}

// The server's own key signs tokens that have expired, or will in a moment.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	s := common(t)
	if elsewhere != nil {
		skip(t, "needs the server's signing key")
	}
	alice := s.someone(t, "alice")
	signer, err := auth.LoadOrCreateKey(filepath.Join(s.dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	session := sessionOf(t, alice.token())
	token := func(expires time.Time) string {
		t.Helper()
		token, err := signer.Sign(auth.Claims{User: alice.User.ID, Nickname: "alice", Session: session, Expires: expires})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	w := s.wire(t)
	w.Sends(chat.SessionOpen, "", map[string]string{"token": token(time.Now().Add(-time.Hour))})
	w.IsClosedWith(4401)

	soon := token(time.Now().Add(3 * time.Second))
	expires, renews := s.wire(t), s.wire(t)
	for _, w := range []*Wire{expires, renews} {
		w.Sends(chat.SessionOpen, "", map[string]string{"token": soon})
		w.Gets(chat.SessionOpened)
	}
	renews.Opens(alice)
	expires.IsClosedWith(4401)
	renews.IsAlive()

	conn, err := s.Client().Dial(t.Context(), client.Static(soon), client.Options{})
	if err == nil {
		_ = conn.Close()
	}
	wantKind(t, "an expired token", err, chat.Unauthenticated)
}

// sessionOf is the claim "sid" of a token.
func sessionOf(t *testing.T, token string) string {
	t.Helper()
	var claims struct {
		Session string `json:"sid"`
	}
	if err := json.Unmarshal(tokenPayload(t, token), &claims); err != nil || claims.Session == "" {
		t.Fatalf("no sid in the token: %v", err)
	}
	return claims.Session
}

func TestLogOut(t *testing.T) {
	t.Parallel()
	alice := common(t).someone(t, "alice")
	other := &Person{Email: alice.Email, Password: alice.Password, t: t, server: alice.server}
	other.LogsIn()
	phone, laptop := other.Wire(), alice.Wire()
	byClient := alice.Connects(fastRetry)
	token, refresh := alice.token(), alice.RefreshToken()
	if err := alice.LogOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	laptop.IsClosedWith(4401)
	for range byClient.Events() {
	}
	wantKind(t, "the client's connection", byClient.Err(), chat.Unauthenticated)
	phone.IsAlive() // another session's
	_, err := common(t).Client().Resume(t.Context(), refresh)
	wantKind(t, "the refresh token", err, chat.Unauthenticated)
	w := common(t).wire(t)
	w.Sends(chat.SessionOpen, "", map[string]string{"token": token})
	w.IsClosedWith(4401)
	_, err = alice.Rooms(t.Context())
	wantKind(t, "the access token", err, chat.Unauthenticated)
}

func TestRefreshTokensRotate(t *testing.T) {
	t.Parallel()
	c := common(t).Client()
	alice := common(t).someone(t, "alice")
	w := alice.Wire()
	first := alice.RefreshToken()
	second, err := c.Resume(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if second.User.ID != alice.User.ID || second.RefreshToken() == first {
		t.Errorf("refreshed: %+v", second.User)
	}
	again, err := c.Resume(t.Context(), first) // the answer got lost, or another tab did the same
	if err != nil || again.RefreshToken() != second.RefreshToken() {
		t.Errorf("refreshed again: %v", err)
	}
	third := second.RefreshToken()
	session, _, _ := strings.Cut(first, ".")
	_, err = c.Resume(t.Context(), session+".made-up")
	wantKind(t, "a secret that was made up", err, chat.Unauthenticated)
	next, err := c.Resume(t.Context(), third)
	if err != nil {
		t.Fatal(err)
	}
	third = next.RefreshToken()
	_, err = c.Resume(t.Context(), first) // somebody else has it
	if kind := chat.KindOf(err); err == nil || kind != chat.Unauthenticated && kind != chat.Forbidden {
		t.Errorf("the used token: %v", err)
	}
	_, err = c.Resume(t.Context(), third)
	wantKind(t, "a token of the same family", err, chat.Unauthenticated)
	w.IsClosedWith(4401)
	alice.LogsIn() // the password is as good as before
	_, err = c.Resume(t.Context(), "garbage")
	wantKind(t, "garbage", err, chat.Unauthenticated)
}

func TestNobodyOpensTheSession(t *testing.T) {
	t.Parallel()
	if !slow {
		skip(t, "waits 10 s for a time limit; KNATTER_SLOW=1")
	}
	w := common(t).wire(t)
	begin := time.Now()
	w.IsClosedWith(4401)
	if d := time.Since(begin); d < 9*time.Second || d > 15*time.Second {
		t.Errorf("closed after %v", d)
	}
}

// A peer that answers no ping is closed; one that answers stays.
func TestHeartbeat(t *testing.T) {
	s := own(t, "--heartbeat", "1s")
	alice := s.someone(t, "alice")
	silent := alice.Wire()
	silent.ws.SetPingHandler(func(string) error { return nil })
	conn := alice.Connects(client.Options{})
	begin := time.Now()
	for {
		if _, err := silent.next(); err != nil {
			break
		}
	}
	if d := time.Since(begin); d < time.Second || d > 8*time.Second {
		t.Errorf("the silent one was closed after %v", d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := conn.Send(ctx, alice.Creates("Alive"), "still here"); err != nil || conn.Stats().Connects != 1 {
		t.Errorf("the other one: %v, %+v", err, conn.Stats())
	}
}
