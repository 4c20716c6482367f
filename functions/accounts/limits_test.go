package accounts

import (
	"fmt"
	"net/http"
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
		believed(r, func(r *http.Request) {
			if got := client(r); got != want {
				t.Errorf("client of %q = %q, want %q", forwarded, got, want)
			}
		})
		if got := client(r); got != "203.0.113.9" {
			t.Errorf("%q is believed from anybody", forwarded)
		}
	}
}

// Guesses from many addresses get slow, for every address, and lock nobody out.
func TestGuessesFromManyAddressesGetSlow(t *testing.T) {
	x := setUpWithLog(t, nil)
	x.signUp("minji")
	x.signUp("other")
	const delay = 500 * time.Millisecond
	x.f.Limits = Limits{Account: Rate{5, time.Hour}, Delay: delay}
	logIn := func(address, nickname, with string) answer {
		return x.from(address, "POST", "/v1/sessions", "", object{"email": nickname + "@example.org", "password": with})
	}
	tried := 0
	for i := range 15 {
		switch a := logIn(fmt.Sprintf("192.0.2.%d", i), "minji", "wrong password"); a.Code {
		case 401:
			tried++
		case 429:
			if a.Header().Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", a.Header().Get("Retry-After"))
			}
		default:
			t.Errorf("guess %d: %d", i, a.Code)
		}
	}
	if tried != 5 {
		t.Errorf("%d of 15 guesses were tried, want 5", tried)
	}
	logIn("198.51.100.1", "other", password).want(200) // it is this account's alone

	// Its owner has to wait, not longer than it is said, however busy the others are.
	logIn("198.51.100.1", "minji", password).want(429)
	time.Sleep(time.Until(time.Now().Truncate(delay).Add(delay))) // the next window, from its beginning
	logIn("203.0.113.1", "minji", "wrong password")
	logIn("198.51.100.1", "minji", password).want(200)
	logIn("198.51.100.1", "minji", password).want(429) // the next in the next window
}

// One address that has guessed too often is slow as well, and not shut out.
func TestGuessesFromOneAddressGetSlow(t *testing.T) {
	x := setUpWithLog(t, nil)
	x.signUp("minji")
	const delay = 500 * time.Millisecond
	x.f.Limits = Limits{Login: Rate{3, time.Hour}, Delay: delay}
	logIn := func(with string) int {
		return x.do("POST", "/v1/sessions", "", object{"email": "minji@example.org", "password": with}).Code
	}
	for _, want := range []int{401, 401, 401, 429, 429} {
		if got := logIn("wrong password"); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	}
	time.Sleep(delay) // asking would itself be a guess
	if got := logIn(password); got != 200 {
		t.Errorf("the right password after the wait: %d", got)
	}
}
