package serve_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

func TestProblemOfEveryKind(t *testing.T) {
	want := map[chat.Kind]int{
		chat.Internal: 500, chat.Malformed: 400, chat.Unauthenticated: 401, chat.Forbidden: 403, chat.NotFound: 404,
		chat.Conflict: 409, chat.TooLarge: 413, chat.Invalid: 422, chat.TooMany: 429, chat.Unavailable: 503,
	}
	seen := make(map[string]bool)
	for kind := chat.Internal; kind <= chat.Unavailable; kind++ {
		p := serve.ProblemOf(chat.Errorf(kind, "because: %w", io.EOF))
		if p.Status != want[kind] {
			t.Errorf("kind %d has status %d, want %d", kind, p.Status, want[kind])
		}
		if seen[p.Type] || !strings.HasPrefix(p.Type, "https://knatter.dev/problems/") || p.Title == "" {
			t.Errorf("kind %d is %+v", kind, p)
		}
		seen[p.Type] = true
		// What went wrong inside is nobody's business.
		if told := p.Detail != ""; told != (p.Status < 500) {
			t.Errorf("kind %d tells %q", kind, p.Detail)
		}
	}
	if p := serve.ProblemOf(fmt.Errorf("signing up: %w", chat.Invalidf("nickname-too-long", "nickname is %s", "long"))); p.Type != "https://knatter.dev/problems/invalid/nickname-too-long" ||
		p.Status != 422 || p.Detail != "nickname is long" {
		t.Errorf("an error with a reason is %+v", p)
	}
	if p := serve.ProblemOf(errors.New("disk on fire")); p.Status != 500 || p.Detail != "" {
		t.Errorf("an error without a kind is %+v", p)
	}
}

func TestFail(t *testing.T) {
	w := httptest.NewRecorder()
	serve.Fail(w, httptest.NewRequest("GET", "/", nil), chat.Errorf(chat.NotFound, "no such room: <a>"))
	if w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("got %d with %v", w.Code, w.Header())
	}
	var p serve.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != 404 || p.Detail != "no such room: <a>" {
		t.Errorf("got %s, %v", w.Body, err)
	}
}

func TestDecode(t *testing.T) {
	type body struct {
		Name string        `json:"name"`
		UpTo chat.Sequence `json:"upTo"`
	}
	for name, c := range map[string]struct {
		in   string
		want chat.Kind
	}{
		"nothing":             {"", chat.Malformed},
		"no JSON":             {"name=x", chat.Malformed},
		"cut off":             {`{"name":"x"`, chat.Malformed},
		"another type":        {`{"name":1}`, chat.Malformed},
		"two":                 {`{"name":"x"}{"name":"y"}`, chat.Malformed},
		"what the field says": {`{"upTo":"7"}`, chat.Invalid},
		"large":               {`{"name":"` + strings.Repeat("x", serve.MaxBody) + `"}`, chat.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			var b body
			err := serve.Decode(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(c.in)), &b)
			if err == nil || chat.KindOf(err) != c.want {
				t.Errorf("got %v, want kind %d", err, c.want)
			}
		})
	}
	var b body
	err := serve.Decode(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(` {"name":"x"} `)), &b)
	if err != nil || b.Name != "x" {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestLocal(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			serve.Fail(w, r, err)
			return
		}
		w.Header().Set("X-From", r.Header.Get("X-To"))
		w.WriteHeader(http.StatusCreated)
		w.WriteHeader(http.StatusTeapot) // too late, as on a real connection
		_, _ = w.Write(b)
	})
	mux.HandleFunc("GET /quiet", func(http.ResponseWriter, *http.Request) {})
	client := &http.Client{Transport: serve.Local{Handler: mux}}

	body := &closed{Reader: strings.NewReader("hello")}
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://function/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-To", "bob")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if whole, ok := res.Body.(interface{ All() []byte }); !ok || string(whole.All()) != "hello" {
		t.Errorf("the connector has to copy the body")
	}
	b, err := io.ReadAll(res.Body)
	if err != nil || string(b) != "hello" || res.ContentLength != 5 {
		t.Errorf("got %q of %d bytes, %v", b, res.ContentLength, err)
	}
	if res.StatusCode != 201 || res.Status != "201 Created" || res.Header.Get("X-From") != "bob" {
		t.Errorf("got %s with %v", res.Status, res.Header)
	}
	if !body.closed {
		t.Error("a round tripper closes the request's body")
	}
	for path, want := range map[string]int{"/quiet": 200, "/nowhere": 404} {
		res, err := client.Get("http://function" + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error {
	c.closed = true
	return nil
}

func TestLogPath(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/rooms":                         "/v1/rooms",
		"/v1/rooms/":                        "/v1/rooms/",
		"/v1/me":                            "/v1/me",
		"/v1/rooms/abcd-efgh-jkmn":          "/v1/rooms/#",
		"/v1/rooms/abcd-efgh-jkmn/messages": "/v1/rooms/#/messages",
		"/v1/invitations/secret":            "/v1/invitations/#",
		"/v1/rooms/abcd-efgh-jkmn/invitations/secret/x": "/v1/rooms/#/invitations/#/x",
	} {
		got := regexp.MustCompile(`#[0-9a-f]{8}`).ReplaceAllString(serve.LogPath(path), "#")
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestRetryAfterOfWhatIsForNow(t *testing.T) {
	for _, status := range []int{200, 404, 429, 500, 503} {
		w := httptest.NewRecorder()
		serve.JSON(w, status, nil) // as readiness does
		if got := w.Header().Get("Retry-After"); (got != "") != (status == 429 || status == 503) {
			t.Errorf("%d has Retry-After %q", status, got)
		}
	}
	w := httptest.NewRecorder()
	w.Header().Set("Retry-After", "30")
	serve.JSON(w, 503, nil)
	if got := w.Header().Values("Retry-After"); len(got) != 1 || got[0] != "30" {
		t.Errorf("what a handler says became %q", got)
	}
}
