package tests

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"knatter.dev/chat"
)

// posting are the ways by which a message with these data comes to the server. Each
// tells the status of the answer, 0 for a socket that was closed.
func (p *Person) posting(room chat.RoomID) map[string]func(id, data, attributes string) int {
	frame := func(id, data, attributes string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/x","type":"dev.knatter.message.posted","subject":%q,"data":%s%s}`, id, room, data, attributes)
	}
	post := func(contentType, body string) int {
		p.t.Helper()
		resp, _ := request(p.t, http.MethodPost, p.server.URL+"/v1/events", p.token(), map[string]string{"Content-Type": contentType}, body)
		return resp.StatusCode
	}
	return map[string]func(id, data, attributes string) int{
		"socket": func(id, data, attributes string) int {
			w := p.Wire()
			w.SendsRaw(frame(id, data, attributes))
			e, err := w.next()
			if err != nil {
				return 0
			}
			if e.Type == chat.Ack {
				return http.StatusAccepted
			}
			var r refusal
			if err := e.Decode(&r); err != nil || r.Event != id {
				p.t.Errorf("answered by %s", e.Data)
			}
			return r.Status
		},
		"structured": func(id, data, attributes string) int {
			return post("application/cloudevents+json", frame(id, data, attributes))
		},
		"batched": func(id, data, attributes string) int {
			return post("application/cloudevents-batch+json", "["+frame(id, data, attributes)+"]")
		},
		"binary": func(id, data, attributes string) int {
			header := map[string]string{"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": id, "ce-source": "/x", "ce-type": "dev.knatter.message.posted", "ce-subject": string(room)}
			var more map[string]any
			if err := json.Unmarshal([]byte("{"+strings.TrimPrefix(attributes, ",")+"}"), &more); err != nil {
				p.t.Fatal(err)
			}
			for name, value := range more {
				header["ce-"+name] = strings.ReplaceAll(strings.ReplaceAll(fmt.Sprint(value), "%", "%25"), " ", "%20")
			}
			resp, _ := request(p.t, http.MethodPost, p.server.URL+"/v1/events", p.token(), header, data)
			return resp.StatusCode
		},
	}
}

// However an event comes, the same is let through, and what is acknowledged is
// delivered and read.
func TestEveryWayHasTheSameBounds(t *testing.T) {
	t.Parallel()
	s := common(t)
	alice, bob := s.two(t)
	room := alice.Creates("Bounds")
	bob.Joins(room)
	bob.Follows(room)
	attachment := func(n int) string { return `{"text":"hi","attachments":["` + strings.Repeat("x", n) + `"]}` }
	many := func(n int, value string) (list string) {
		for i := range n {
			list += fmt.Sprintf(`,"x%d":%q`, i, value)
		}
		return list
	}
	ways := alice.posting(room)
	for i, c := range []struct {
		what, data, attributes string
		want                   int
	}{
		{"plain", `{"text":"hi"}`, "", 202},
		{"nearly too large", attachment(64_000), "", 202},
		{"too large when it is delivered", attachment(65_300), "", 413},
		{"20 extensions of 256 bytes", `{"text":"hi"}`, many(20, strings.Repeat("y", 256)), 202},
		{"21 extensions", `{"text":"hi"}`, many(21, "y"), 422},
		{"257 bytes", `{"text":"hi"}`, many(1, strings.Repeat("y", 257)), 422},
		{"a lone surrogate", `{"text":"\ud800"}`, "", 422},
		{"one in attachments", `{"text":"hi","attachments":[{"a":"\udfff"}]}`, "", 422},
		{"a huge number", `{"text":"hi","attachments":[1e999]}`, "", 422},
		{"5,001 digits", `{"text":"hi","attachments":[` + strings.Repeat("7", 5001) + `]}`, "", 422},
		{"5,000 levels", `{"text":"hi","attachments":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, "", 422},
		{"20,000 levels", `{"text":"hi","attachments":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "", 422},
		{"a name twice", `{"text":"a","text":"b"}`, "", 422},
		{"another name", `{"Text":"hi"}`, "", 422},
		{"a noncharacter", "{\"text\":\"\uffff\"}", "", 422},
		{"time without a zone", `{"text":"hi"}`, `,"time":"2026-03-01T09:30:00"`, 202},
		{"a percent sign", `{"text":"hi"}`, `,"x":"100% and more"`, 202},
	} {
		for _, way := range slices.Sorted(maps.Keys(ways)) {
			id := fmt.Sprintf("%d-%s", i, way)
			if got := ways[way](id, c.data, c.attributes); got != c.want {
				t.Errorf("%s, %s: %d, want %d", c.what, way, got, c.want)
			}
			if c.want != 202 {
				continue
			}
			e := bob.SeesEvent(id, func(e *chat.Event) bool { return e.ID == id })
			if n := len(e.AppendFrame(nil)); n > 64<<10 {
				t.Errorf("%s, %s: delivered with %d bytes", c.what, way, n)
			}
			if c.what == "a percent sign" && e.Extensions["x"] != "100% and more" {
				t.Errorf("%s: delivered with %q", way, e.Extensions["x"])
			}
		}
	}
	if n := len(bob.Reads(room)); n != 5*len(ways) {
		t.Errorf("history has %d messages", n)
	}

	// Larger than a frame, by every way that can be.
	for way, status := range map[string]int{"socket": 0, "structured": 413, "batched": 413, "binary": 413} {
		if got := ways[way]("large", attachment(900_000), ""); got != status {
			t.Errorf("900 KB, %s: %d, want %d", way, got, status)
		}
	}
}

// What the connector sets itself, a client may fill with anything.
func TestSourceAndTimeAreTheConnectors(t *testing.T) {
	t.Parallel()
	s := common(t)
	alice := s.someone(t, "alice")
	room := alice.Creates("Sources")
	w := alice.Wire()
	for i, source := range []string{"100%", ":foo", "http://[", " ", "앨리스", `a\nb`, "%zz", strings.Repeat("x", 2000)} {
		for j, when := range []string{`"2026-03-01T09:30:00"`, `"soon"`, "7", "null", "{}", `"9999-12-31T23:59:59-14:00"`} {
			id := fmt.Sprintf("s-%d-%d", i, j)
			w.SendsRaw(fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"%s","time":%s,"type":"dev.knatter.message.posted","subject":%q,"data":{"text":"hi"}}`, id, source, when, room))
			w.GetsAck(id)
		}
		header := map[string]string{"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": fmt.Sprint("h-", i), "ce-source": strings.ReplaceAll(source, " ", "%20"), "ce-time": "2026-03-01T09:30:00", "ce-type": "dev.knatter.message.posted", "ce-subject": string(room)}
		if resp, body := request(t, http.MethodPost, s.URL+"/v1/events", alice.token(), header, `{"text":"hi"}`); resp.StatusCode != http.StatusAccepted {
			t.Errorf("source %q over HTTP: %s %s", source, resp.Status, body)
		}
	}
	w.SendsRaw(`{"specversion":"1.0","id":"1","source":"","type":"dev.knatter.message.posted","subject":"r"}`)
	w.IsClosedWith(4400)
}

// A batch over the burst can never be sent, one over the rate can be later.
func TestBatchesAndRates(t *testing.T) {
	t.Parallel()
	s := common(t)
	eve := s.someone(t, "eve")
	room := eve.Creates("Batches")
	batch := func(from, n int) (*http.Response, string) {
		var frames []string
		for i := range n {
			frames = append(frames, fmt.Sprintf(`{"specversion":"1.0","id":"b%d","source":"/x","type":"dev.knatter.message.posted","subject":%q,"data":{"text":"hi"}}`, from+i, room))
		}
		return request(t, http.MethodPost, s.URL+"/v1/events", eve.token(), map[string]string{"Content-Type": "Application/CloudEvents-Batch+JSON"}, "["+strings.Join(frames, ",")+"]")
	}
	resp, _ := batch(0, 1001)
	isProblem(t, "over the burst", resp, http.StatusRequestEntityTooLarge)
	if elsewhere != nil {
		skip(t, "is over the rate only where batches are logged quickly")
	}
	for n := 0; ; n += 1000 {
		var body string
		if resp, body = batch(n, 1000); resp.StatusCode == http.StatusTooManyRequests {
			break
		}
		if n > 20_000 || resp.StatusCode != http.StatusAccepted {
			t.Fatalf("%d events: %s %.200s", n, resp.Status, body)
		}
	}
	isProblem(t, "over the rate", resp, http.StatusTooManyRequests)
	if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || after < 1 || after > 10 {
		t.Errorf("Retry-After: %q", resp.Header.Get("Retry-After"))
	}
}

// Surrogates are refused wherever text comes in, and names are what they are.
func TestJSONOfRequests(t *testing.T) {
	t.Parallel()
	s := common(t)
	alice := s.someone(t, "alice")
	for body, status := range map[string]int{
		`{"name":"\ud800"}`: 422, `{"name":"a","name":"b"}`: 422, `{"Name":"a"}`: 422, `{"name":"a","x":1e999}`: 422, "{\"name\":\"\xff\"}": 400, `{"name":"\ud83d\ude00"}`: 201,
	} {
		resp, answer := request(t, http.MethodPost, s.URL+"/v1/rooms", alice.token(), nil, body)
		if resp.StatusCode != status {
			t.Errorf("%q: %s %s, want %d", body, resp.Status, answer, status)
		}
	}
	for _, password := range []string{`correct horse \ud800`, `\udc00 correct horse`} {
		resp, _ := request(t, http.MethodPost, s.URL+"/v1/accounts", "", nil, `{"email":"sur@example.org","nickname":"x","password":"`+password+`"}`)
		isProblem(t, "password", resp, http.StatusUnprocessableEntity)
		resp, _ = request(t, http.MethodPost, s.URL+"/v1/sessions", "", nil, `{"email":"sur@example.org","password":"`+password+`"}`)
		isProblem(t, "login", resp, http.StatusUnprocessableEntity)
	}
	w := alice.Wire()
	id := w.Sends(chat.RoomSubscribe, "", json.RawMessage(`{"ALL":true}`))
	w.IsRefused(id, http.StatusUnprocessableEntity)
	w = s.wire(t)
	w.Sends(chat.SessionOpen, "", json.RawMessage(fmt.Sprintf(`{"Token":%q}`, alice.token())))
	w.IsClosedWith(4400, 4401)
}
