package accounts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/auth/authtest"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/kafka"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/pebble"
	"knatter.dev/chat/internal/pebble/pebbletest"
	"knatter.dev/chat/internal/serve"
)

const password = "correct horse battery staple"

// fixture is the function over a real store and a real log.
type fixture struct {
	*testing.T
	f     *Function
	store *pebble.Store
	log   *kafka.Log
}

func setUp(t *testing.T) *fixture {
	t.Helper()
	return setUpWithLog(t, kafkatest.Log(t, kafkatest.Start(t)))
}

// setUpWithLog takes a nil log for tests that append nothing.
func setUpWithLog(t *testing.T, log *kafka.Log) *fixture {
	t.Helper()
	store := pebbletest.Memory(t)
	signer := authtest.Signer(t)
	f := New(function.Deps{Stores: store.Stores(), Log: log, Signer: signer})
	return &fixture{T: t, f: f, store: store, log: log}
}

type answer struct {
	*httptest.ResponseRecorder
	t testing.TB
}

// body is the answer's JSON.
func (a answer) body() (m map[string]any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body.Bytes(), &m); err != nil {
		a.t.Fatalf("answer %q: %v", a.Body, err)
	}
	return m
}

func (a answer) want(status int) answer {
	a.t.Helper()
	if a.Code != status {
		a.t.Fatalf("status %d, want %d: %s", a.Code, status, a.Body)
	}
	if status >= 400 {
		if p := a.body(); p["status"] != float64(status) || p["type"] == "" || a.Header().Get("Content-Type") != "application/problem+json" {
			a.t.Errorf("not a problem document: %v %s", a.Header(), a.Body)
		}
	}
	return a
}

func (a answer) into(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body.Bytes(), v); err != nil {
		a.t.Fatal(err)
	}
}

func (x *fixture) do(method, path, token string, body any) answer {
	x.Helper()
	return x.from("192.0.2.1", method, path, token, body)
}

func (x *fixture) from(address, method, path, token string, body any) answer {
	x.Helper()
	raw, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			x.Fatal(err)
		}
		raw = string(b)
	}
	r := httptest.NewRequest(method, path, bytes.NewReader([]byte(raw)))
	r.Header.Set("X-Forwarded-For", address)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	believed(r, func(r *http.Request) { x.f.ServeHTTP(w, r) })
	return answer{ResponseRecorder: w, t: x}
}

// believed passes a request on as the connector of the same process does.
func believed(r *http.Request, f func(*http.Request)) {
	local := serve.Local{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f(r) })}
	_, _ = local.RoundTrip(r) // never fails
}

type object = map[string]any

func (x *fixture) signUp(nickname string) chat.UserID {
	x.Helper()
	a := x.do("POST", "/v1/accounts", "", object{"email": nickname + "@example.org", "password": password, "nickname": nickname}).want(201)
	return chat.UserID(a.body()["id"].(string))
}

func (x *fixture) logIn(nickname string) tokens {
	x.Helper()
	var t tokens
	x.do("POST", "/v1/sessions", "", object{"email": nickname + "@example.org", "password": password}).want(200).into(&t)
	return t
}

func TestSignUp(t *testing.T) {
	x := setUpWithLog(t, nil)
	a := x.do("POST", "/v1/accounts", "", object{"email": " Minji@Example.org ", "password": password, "nickname": " 민지 "}).want(201)
	got := a.body()
	if len(got) != 3 || got["email"] != "Minji@Example.org" || got["nickname"] != "민지" || !chat.UserID(got["id"].(string)).Valid() {
		t.Errorf("answer %v", got)
	}
	if strings.Contains(a.Body.String(), "argon2") {
		t.Error("the answer holds the hash")
	}
	x.do("POST", "/v1/accounts", "", object{"email": "minji@example.ORG", "password": password, "nickname": "x"}).want(409)
}

func TestSignUpRefuses(t *testing.T) {
	x := setUpWithLog(t, nil)
	valid := func(change object) object {
		o := object{"email": "a@example.org", "password": password, "nickname": "a"}
		for k, v := range change {
			o[k] = v
		}
		return o
	}
	for name, c := range map[string]struct {
		body   any
		status int
	}{
		"no body":             {"", 400},
		"not JSON":            {"{", 400},
		"wrong types":         {`{"email":1}`, 400},
		"too large":           {`{"email":"` + strings.Repeat("a", 2<<20) + `"}`, 413},
		"no email":            {valid(object{"email": ""}), 422},
		"not an email":        {valid(object{"email": "a"}), 422},
		"two emails":          {valid(object{"email": "a@example.org, b@example.org"}), 422},
		"named email":         {valid(object{"email": "A <a@example.org>"}), 422},
		"quoted email":        {valid(object{"email": `"a b"@example.org`}), 422},
		"email with a header": {valid(object{"email": "a@example.org\r\nBcc: b@example.org"}), 422},
		"long email":          {valid(object{"email": strings.Repeat("a", 250) + "@b.org"}), 422},
		"short password":      {valid(object{"password": "1234567"}), 422},
		"long password":       {valid(object{"password": strings.Repeat("가나", 501)}), 422},
		"common password":     {valid(object{"password": "Password1"}), 422},
		"blank password":      {valid(object{"password": "          "}), 422},
		"no nickname":         {valid(object{"nickname": "  "}), 422},
		"long nickname":       {valid(object{"nickname": strings.Repeat("가", 33)}), 422},
		"control characters":  {valid(object{"nickname": "a\u0007"}), 422},
		"blank nickname":      {valid(object{"nickname": "\u3164"}), 422},
		"mark as nickname":    {valid(object{"nickname": "\u0301"}), 422},
		"blank address":       {valid(object{"email": "\u200b@example.org"}), 422},
		"blank in an address": {valid(object{"email": "al\u2800ice@example.org"}), 422},
		"bad punycode":        {valid(object{"email": "a@xn--a"}), 422},
	} {
		t.Run(name, func(t *testing.T) {
			x := *x
			x.T = t
			x.do("POST", "/v1/accounts", "", c.body).want(c.status)
		})
	}
	x.do("POST", "/v1/accounts", "", valid(object{"password": "가나다라마바사아"})).want(201)
}

// One person, whatever the spelling of the address, has one account: it can be logged
// in to and befriended by each, and no other one can be made.
func TestSpellingsOfAnAddress(t *testing.T) {
	x := setUpWithLog(t, nil)
	x.signUp("bob")
	bob := x.logIn("bob").Access
	for made, spellings := range map[string][]string{
		"alice@example.org": {"ALICE@example.ORG", "al\u200bice@example.org", "al\u00adice@example.org", "ａｌｉｃｅ＠ｅｘａｍｐｌｅ．ｏｒｇ", "alice@example。org"},
		"m@bücher.example":  {"m@xn--bcher-kva.example", "M@XN--BCHER-KVA.example", "m@BÜCHER.example"},
		"민지@example.org":    {"\u1106\u1175\u11ab지@example.org", "민\u3164지@example.org"},
	} {
		in := func(email string) object {
			return object{"email": email, "password": password, "nickname": "a"}
		}
		// The first account gets the oddest spelling.
		a := x.do("POST", "/v1/accounts", "", in(spellings[len(spellings)-1])).want(201)
		id := a.body()["id"]
		for _, email := range append(spellings, made) {
			x.do("POST", "/v1/accounts", "", in(email)).want(409)
			if got := x.do("POST", "/v1/sessions", "", in(email)).want(200).body()["user"].(object)["id"]; got != id {
				t.Errorf("%q logs in to %v, want %v", email, got, id)
			}
			x.do("POST", "/v1/me/friends", bob, in(email)).want(202)
		}
		if friends := x.do("GET", "/v1/me/friends", bob, nil).body()["friends"].([]any); len(friends) != 1 || friends[0].(object)["id"] != id {
			t.Errorf("friends %v, want %v", friends, id)
		}
		x.do("DELETE", "/v1/me/friends/"+id.(string), bob, nil).want(204)
	}
}

// An account with an address that would be refused now is there as before.
func TestAddressFromBefore(t *testing.T) {
	x := setUpWithLog(t, nil)
	x.signUp("bob")
	bob := x.logIn("bob").Access
	hash, err := x.f.hasher.hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	for i, email := range []string{"\u200b@example.org", "al\u2800ice@example.org", "a@xn--a"} {
		id := chat.UserID(fmt.Sprint("old-", i))
		if err := x.store.Accounts().Create(t.Context(), chat.Account{ID: id, Email: email, Nickname: "old", PasswordHash: hash}); err != nil {
			t.Fatal(err)
		}
		a := x.do("POST", "/v1/sessions", "", object{"email": email, "password": password}).want(200).body()
		if user := a["user"].(object); user["id"] != string(id) || user["email"] != email {
			t.Errorf("%q: %v", email, user)
		}
		x.do("POST", "/v1/me/friends", bob, object{"email": email}).want(202)
	}
	if friends := x.do("GET", "/v1/me/friends", bob, nil).body()["friends"].([]any); len(friends) != 3 {
		t.Errorf("friends %v", friends)
	}
}

func TestKeysArePublished(t *testing.T) {
	x := setUpWithLog(t, nil)
	x.signUp("minji")
	a := x.do("GET", "/.well-known/jwks.json", "", nil).want(200)
	if got := a.Header().Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("Cache-Control %q", got)
	}
	if strings.Contains(a.Body.String(), `"d"`) {
		t.Fatal("the private key is published")
	}
	server := httptest.NewServer(x.f)
	defer server.Close()
	v := auth.NewVerifier(auth.JWKS(server.URL+"/.well-known/jwks.json", nil), nil)
	if _, err := v.Verify(t.Context(), x.logIn("minji").Access); err != nil {
		t.Error(err)
	}
}

func TestOtherRequests(t *testing.T) {
	x := setUpWithLog(t, nil)
	x.do("GET", "/v1/oauth/somewhere", "", nil).want(404)
	x.do("GET", "/v1/else", "", nil).want(404)
	for path, allow := range map[string]string{"/v1/accounts": "POST", "/v1/sessions": "DELETE, POST", "/v1/me": "GET, HEAD, PATCH"} {
		if got := x.do("PUT", path, "", nil).want(405).Header().Get("Allow"); got != allow {
			t.Errorf("%s: Allow %q, want %q", path, got, allow)
		}
	}
}
