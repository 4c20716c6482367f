package tests

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/listen/listentest"
)

// request makes a request and returns its answer, the body read.
func request(t *testing.T, method, url, token string, header map[string]string, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(strings.NewReader(string(b)))
	return resp, string(b)
}

// isProblem wants a problem document (RFC 9457).
func isProblem(t *testing.T, what string, resp *http.Response, status int) {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	var p struct {
		Type, Title string
		Status      int
	}
	body, _ := io.ReadAll(resp.Body)
	err := json.Unmarshal(body, &p)
	if resp.StatusCode != status || resp.Header.Get("Content-Type") != "application/problem+json" ||
		err != nil || p.Status != status || p.Title == "" || p.Type == "" {
		t.Errorf("%s: %s %s %s, want a problem with status %d", what, resp.Status, resp.Header.Get("Content-Type"), body, status)
	}
}

// Programs post events by the CloudEvents HTTP binding, in all its modes.
func TestProgramsPostEvents(t *testing.T) {
	t.Parallel()
	s := common(t)
	bot, alice := s.someone(t, "bot"), s.someone(t, "alice")
	room := bot.Creates("Builds")
	alice.Joins(room)
	alice.Follows(room)
	post := func(header map[string]string, body string) (*http.Response, string) {
		t.Helper()
		return request(t, http.MethodPost, s.URL+"/v1/events", bot.token(), header, body)
	}
	binary := map[string]string{
		"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": "b1", "ce-source": "/ci",
		"ce-type": "dev.knatter.message.posted", "ce-subject": string(room), "ce-sequence": "0000000000000001",
	}
	structured := func(id, text string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/ci","type":"dev.knatter.message.posted","subject":%q,"data":{"text":%q}}`, id, room, text)
	}
	for _, test := range []struct {
		mode   string
		header map[string]string
		body   string
		ids    []string
	}{
		{"binary", binary, `{"text":"build failed"}`, []string{"b1"}},
		{"structured", map[string]string{"Content-Type": "application/cloudevents+json; charset=utf-8"}, structured("s1", "build passed"), []string{"s1"}},
		{"batched", map[string]string{"Content-Type": "application/cloudevents-batch+json"},
			"[" + structured("x1", "one") + "," + structured("x2", "two") + "]", []string{"x1", "x2"}},
	} {
		resp, body := post(test.header, test.body)
		var answer struct {
			Acks []struct {
				Event    string
				Sequence chat.Sequence
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != http.StatusAccepted {
			t.Errorf("%s: %s %s", test.mode, resp.Status, body)
			continue
		}
		var ids []string
		for _, a := range answer.Acks {
			ids = append(ids, a.Event)
			e := alice.SeesEvent(a.Event, func(e *chat.Event) bool { return e.ID == a.Event })
			if e.Sequence != a.Sequence || e.User() != bot.User.ID {
				t.Errorf("%s: alice got %+v, acked as %s", test.mode, e, a.Sequence)
			}
		}
		if !slices.Equal(ids, test.ids) {
			t.Errorf("%s: acks for %v, want %v", test.mode, ids, test.ids)
		}
	}

	refused := func(what string, header map[string]string, body string, status int) {
		t.Helper()
		resp, _ := post(header, body)
		isProblem(t, what, resp, status)
	}
	json := map[string]string{"Content-Type": "application/cloudevents+json"}
	batch := map[string]string{"Content-Type": "application/cloudevents-batch+json"}
	refused("not an event", json, "{}", http.StatusBadRequest)
	refused("not JSON", json, "hello", http.StatusBadRequest)
	refused("no text", json, structured("n1", ""), http.StatusUnprocessableEntity)
	resp, body := post(batch, "[]")
	if resp.StatusCode != http.StatusAccepted || strings.TrimSpace(body) != `{"acks":[]}` {
		t.Errorf("an empty batch: %s %s", resp.Status, body)
	}
	refused("one of two is bad", batch, "["+structured("y1", "good")+","+structured("y2", "")+"]", http.StatusUnprocessableEntity)
	refused("too large", batch, "["+strings.Repeat(" ", 2<<20)+"]", http.StatusRequestEntityTooLarge)
	resp, _ = request(t, http.MethodPost, s.URL+"/v1/events", "", json, structured("z1", "who am I"))
	isProblem(t, "no token", resp, http.StatusUnauthorized)
	resp, _ = request(t, http.MethodGet, s.URL+"/v1/events", bot.token(), nil, "")
	isProblem(t, "GET", resp, http.StatusMethodNotAllowed)
	if got := texts(alice.Reads(room)); !slices.Equal(got, []string{"build failed", "build passed", "one", "two"}) {
		t.Errorf("history: %q", got)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	s := common(t)
	alice := s.someone(t, "alice")
	room := alice.Creates("Room")
	token := alice.token()
	for _, test := range []struct {
		method, path, token, body string
		status                    int
	}{
		{"GET", "/v1/rooms", "", "", 401},
		{"GET", "/v1/rooms", "garbage", "", 401},
		{"GET", "/v1/me", "", "", 401},
		{"GET", "/v1/search?q=x", "", "", 401},
		{"GET", "/v1/rooms/" + string(room) + "/messages", "", "", 401},
		{"DELETE", "/v1/sessions", "", "", 401},
		{"GET", "/v1/nothing", token, "", 404},
		{"GET", "/nothing", "", "", 404},
		{"POST", "/v1/rooms", token, "not json", 400},
		{"POST", "/v1/rooms", token, `{"name":""}`, 422},
		{"POST", "/v1/rooms", token, `{"name":"` + strings.Repeat("n", 10_000) + `"}`, 422},
		{"POST", "/v1/rooms/no-such-room/members", token, `{}`, 404},
		{"POST", "/v1/direct", token, `{"user":"nobody"}`, 404},
		{"POST", "/v1/accounts", "", "not json", 400},
		{"POST", "/v1/accounts", "", `{"email":"no address","password":"long enough","nickname":"n"}`, 422},
		{"POST", "/v1/accounts", "", `{"email":"short@story.test","password":"1","nickname":"n"}`, 422},
		{"POST", "/v1/accounts", "", `{"email":"` + alice.Email + `","password":"long enough","nickname":"n"}`, 409},
		{"POST", "/v1/accounts", "", `{"email":"` + strings.ToUpper(alice.Email) + `","password":"long enough","nickname":"n"}`, 409},
		{"POST", "/v1/sessions", "", `{"email":"` + alice.Email + `","password":"wrong"}`, 401},
		{"POST", "/v1/sessions", "", `{"email":"nobody@story.test","password":"wrong"}`, 401},
		{"GET", "/v1/search?q=", token, "", 422},
		{"GET", "/v1/search?q=x&limit=none", token, "", 422},
		{"GET", "/v1/search?q=x&cursor=garbage", token, "", 422},
		{"GET", "/v1/rooms/" + string(room) + "/messages?limit=0", token, "", 422},
		{"GET", "/v1/rooms/" + string(room) + "/messages?after=7", token, "", 422},
		{"PUT", "/v1/rooms", token, "", 405},
	} {
		resp, _ := request(t, test.method, s.URL+test.path, test.token, map[string]string{"Content-Type": "application/json"}, test.body)
		isProblem(t, test.method+" "+test.path+" "+test.body[:min(60, len(test.body))], resp, test.status)
	}
}

func TestOperations(t *testing.T) {
	t.Parallel()
	s := common(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if resp, body := request(t, http.MethodGet, s.URL+path, "", nil, ""); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	resp, body := request(t, http.MethodGet, s.URL+"/.well-known/jwks.json", "", nil, "")
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"Ed25519"`) || strings.Contains(body, `"d"`) {
		t.Errorf("keys: %s %s", resp.Status, body)
	}
	if resp, _ := request(t, http.MethodGet, s.URL+"/metrics", "", nil, ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("metrics on the public port: %s", resp.Status)
	}
}

func TestAdminPort(t *testing.T) {
	admin := listentest.Address(t)
	s := own(t, "--admin", admin)
	alice := s.someone(t, "alice")
	alice.Sends(alice.Creates("Room"), "count me")
	for path, want := range map[string]string{"/metrics": "knatter_", "/healthz": "", "/readyz": ""} {
		resp, body := request(t, http.MethodGet, "http://"+admin+path, "", nil, "")
		if resp.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %s", path, resp.Status)
		}
		if strings.Contains(body, "count me") || strings.Contains(body, alice.Email) {
			t.Errorf("%s tells what people say", path)
		}
	}
}
