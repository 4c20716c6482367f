package serve_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/serve"
)

const secret = "secret-0123456789"

func callers(t *testing.T, secrets ...string) *auth.Callers {
	t.Helper()
	c, err := auth.NewCallers(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// saying answers whether its caller is believed.
func saying(demanded *auth.Callers) http.Handler {
	return serve.Demand(demanded, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve.JSON(w, http.StatusOK, serve.Believed(r))
	}))
}

func TestDemand(t *testing.T) {
	for name, c := range map[string]struct {
		demanded *auth.Callers
		path     string
		header   string
		status   int
		body     string
	}{
		"with the secret":      {callers(t, secret), "/", secret, 200, "true\n"},
		"with another":         {callers(t, secret), "/", secret + "0", 401, ""},
		"with none":            {callers(t, secret), "/", "", 401, ""},
		"below the keys":       {callers(t, secret), "/.well-known/jwks.json/x", "", 401, ""},
		"for the public keys":  {callers(t, secret), "/.well-known/jwks.json", "", 200, "false\n"},
		"where none is wanted": {nil, "/", secret, 200, "false\n"},
	} {
		r := httptest.NewRequest(http.MethodPost, c.path, nil)
		r.Header.Set(auth.CallerHeader, c.header)
		w := httptest.NewRecorder()
		saying(c.demanded).ServeHTTP(w, r)
		if w.Code != c.status || c.body != "" && w.Body.String() != c.body {
			t.Errorf("%s: %d, %s", name, w.Code, w.Body)
		}
		if c.status == http.StatusUnauthorized && (w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("WWW-Authenticate") != auth.CallerHeader) {
			t.Errorf("%s: %v", name, w.Header())
		}
	}
}

// In one process nobody else can call, so no secret is needed.
func TestLocalCallerIsBelieved(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://function/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := serve.Local{Handler: saying(nil)}.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b := make([]byte, 5); resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	} else if n, _ := resp.Body.Read(b); string(b[:n]) != "true\n" {
		t.Errorf("believed: %q", b[:n])
	}
}

// A function that does not take our secret is a fault of the set-up: the user behind
// the request must not be told to log in again.
func TestRemoteShowsTheSecret(t *testing.T) {
	server := httptest.NewServer(saying(callers(t, secret)))
	defer server.Close()
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		callers *auth.Callers
		ok      bool
	}{"ours": {callers(t, secret, "old-"+secret), true}, "an old one": {callers(t, "old-"+secret), false}, "none": {nil, false}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://function/v1/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(auth.CallerHeader, "forged-"+secret)
		resp, err := serve.Remote{Base: base, Callers: c.callers}.RoundTrip(r)
		if (err == nil) != c.ok || err != nil && chat.KindOf(err) != chat.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}

// KafkaSource shows the secret as an attribute of the event, which goes no further.
func TestCallerAttributeIsTakenOff(t *testing.T) {
	h := new(recorder)
	w := post(serve.Events(h, nil), text, binary(map[string]string{"Ce-Knativekafkaoffset": "7", "Ce-Knattersecret": secret}))
	structured := `{"specversion":"1.0","id":"1","source":"/users/alice","type":"` + string(chat.MessagePosted) + `","subject":"room","sequence":"0000000000000007","knattersecret":"` + secret + `","data":{"text":"hi"}}`
	w2 := post(serve.Events(h, nil), structured, map[string]string{"Content-Type": "application/cloudevents+json"})
	if w.Code != http.StatusNoContent || w2.Code != http.StatusNoContent || len(h.calls) != 2 {
		t.Fatalf("got %d, %d, %s %s", w.Code, w2.Code, w.Body, w2.Body)
	}
	for _, events := range h.calls {
		if len(events[0].Extensions) > 0 {
			t.Errorf("the event still has %v", events[0].Extensions)
		}
	}
}
