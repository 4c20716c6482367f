package accounts

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"
)

func TestLimitsByClient(t *testing.T) {
	x := setUpWithLog(t, nil)
	x.f.Limits = Limits{Client: Rate{2, time.Hour}, SignUp: Rate{1, time.Hour}}
	for i, want := range []int{401, 401, 429} {
		email := fmt.Sprintf("a%d@example.org", i)
		x.from("192.0.2.7", "POST", "/v1/sessions", "", object{"email": email, "password": password}).want(want)
	}
	x.from("192.0.2.8", "POST", "/v1/sessions", "", object{"email": "a@example.org", "password": password}).want(401)

	signUp := func(address, email string) answer {
		return x.from(address, "POST", "/v1/accounts", "", object{"email": email, "password": password, "nickname": "a"})
	}
	signUp("2001:db8::1", "a@example.org").want(201)
	if a := signUp("2001:db8::2", "b@example.org").want(429); a.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	signUp("2001:db8:0:1::1", "b@example.org").want(201)
}

func TestClient(t *testing.T) {
	for forwarded, want := range map[string]string{
		"":                         "203.0.113.9",
		"192.0.2.1":                "192.0.2.1",
		"192.0.2.1, 10.0.0.1":      "192.0.2.1",
		"::ffff:192.0.2.1":         "192.0.2.1",
		"2001:db8::aaaa:1":         "2001:db8::/64",
		"fe80::1%eth0":             "fe80::/64",
		"unknown":                  "unknown",
		" 192.0.2.1 ,198.51.100.1": "192.0.2.1",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "203.0.113.9:4711"
		r.Header.Set("X-Forwarded-For", forwarded)
		if got := client(r); got != want {
			t.Errorf("client of %q = %q, want %q", forwarded, got, want)
		}
	}
}
