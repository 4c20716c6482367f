package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"knatter.dev/chat"
)

// protocol is what the protocol promises.
var protocol = []string{
	"POST /v1/accounts", "POST /v1/sessions", "POST /v1/sessions/refresh", "DELETE /v1/sessions",
	"GET /v1/me", "PATCH /v1/me", "GET /v1/me/friends", "POST /v1/me/friends", "DELETE /v1/me/friends/{user}",
	"GET /v1/oauth/{provider}", "GET /v1/oauth/{provider}/callback", "GET /.well-known/jwks.json",
	"POST /v1/rooms", "GET /v1/rooms", "GET /v1/rooms/{room}", "PATCH /v1/rooms/{room}", "GET /v1/rooms/{room}/members", "PATCH /v1/rooms/{room}/me", "GET /v1/rooms/{room}/receipts",
	"POST /v1/rooms/{room}/members", "DELETE /v1/rooms/{room}/members/{user}", "POST /v1/direct",
	"POST /v1/rooms/{room}/invitations", "GET /v1/rooms/{room}/invitations", "DELETE /v1/rooms/{room}/invitations/{code}", "POST /v1/invitations/{code}",
	"GET /v1/rooms/{room}/messages", "GET /v1/rooms/{room}/messages/{sequence}", "GET /v1/rooms/{room}/pins", "GET /v1/rooms/{room}/events", "GET /v1/search", "POST /v1/events",
	"GET /v1/socket", "GET /healthz", "GET /readyz", "GET /metrics",
}

func pointerNames(ref string) []string {
	names := strings.Split(strings.TrimPrefix(ref, "#/"), "/")
	for i, name := range names {
		names[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	}
	return names
}

func pointer(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString("/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name)))
	}
	return b.String()
}

// references are all of a document.
func references(v any) (refs []string) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			refs = append(refs, ref)
		}
		for _, member := range v {
			refs = append(refs, references(member)...)
		}
	case []any:
		for _, item := range v {
			refs = append(refs, references(item)...)
		}
	}
	return refs
}

func openAPI(t *testing.T) document {
	return load(t, "connector/api/openapi.yaml", jsonschema.Draft2020)
}

func TestOpenAPIIsValid(t *testing.T) {
	d := openAPI(t)
	d.official(t, "openapi-3.1.json")
	for name := range d.at(t, "#/components/schemas").(map[string]any) {
		if _, err := d.compiler.Compile("doc.json#" + pointer("components", "schemas", name)); err != nil {
			t.Error(err)
		}
	}
	operations := operationsOf(d)
	for _, want := range protocol {
		if operations[want] == nil {
			t.Errorf("%s is not in the document", want)
		}
	}
	ids := make(map[string]bool)
	for name, o := range operations {
		id, _ := o["operationId"].(string)
		if id == "" || ids[id] {
			t.Errorf("%s has the operationId %q", name, id)
		}
		ids[id] = true
		path := strings.Fields(name)[1]
		tags, _ := o["tags"].([]any)
		if function := chat.FunctionFor(strings.NewReplacer("{room}", "r", "{user}", "u", "{provider}", "p", "{code}", "c").Replace(path)); function != "" && (len(tags) != 1 || tags[0] != function) {
			t.Errorf("%s is answered by %s and has the tags %v", name, function, tags)
		}
	}
}

// operationsOf are the document's operations by method and path.
func operationsOf(d document) map[string]map[string]any {
	operations := make(map[string]map[string]any)
	for path, item := range d.root["paths"].(map[string]any) {
		for method, o := range item.(map[string]any) {
			if o, ok := o.(map[string]any); ok {
				operations[strings.ToUpper(method)+" "+path] = o
			}
		}
	}
	return operations
}

// conversation talks HTTP and holds every request and answer against the document.
type conversation struct {
	*testing.T
	server
	doc  document
	seen map[string]map[int]bool // statuses by operation
}

type request struct {
	operation   string // "GET /v1/rooms/{room}"
	path        string // what stands for each {…}, in order
	query       string
	token       string
	contentType string
	headers     map[string]string
	body        any // marshalled, but for strings
}

// do makes a request, wants the status, and returns the answer's JSON.
func (c *conversation) do(status int, r request) map[string]any {
	c.Helper()
	method, template, _ := strings.Cut(r.operation, " ")
	path := template
	for _, value := range strings.Fields(r.path) {
		open, end := strings.Index(path, "{"), strings.Index(path, "}")
		path = path[:open] + value + path[end+1:]
	}
	address := c.url() + path
	if template == "/metrics" {
		address = "http://" + c.admin + path
	}
	if r.query != "" {
		address += "?" + r.query
	}
	o := operationsOf(c.doc)[r.operation]
	if o == nil {
		c.Fatalf("%s is not in the document", r.operation)
	}

	var body io.Reader
	if raw, ok := r.body.(string); ok {
		body = strings.NewReader(raw)
	} else if r.body != nil {
		b, err := json.Marshal(r.body)
		if err != nil {
			c.Fatal(err)
		}
		body = bytes.NewReader(b)
		if r.contentType == "" {
			r.contentType = "application/json"
		}
		if status < 400 {
			at := c.locate(o["requestBody"], "paths", template, strings.ToLower(method), "requestBody")
			c.doc.check(c.T, "request of "+r.operation, pointer(append(at, "content", r.contentType, "schema")...), plain(c.T, r.body))
		}
	}
	req, err := http.NewRequestWithContext(c.Context(), method, address, body)
	if err != nil {
		c.Fatal(err)
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	for name, value := range r.headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != status {
		b, _ := io.ReadAll(res.Body)
		c.Fatalf("%s: %s, want %d: %s", r.operation, res.Status, status, b)
	}
	if c.seen[r.operation] == nil {
		c.seen[r.operation] = make(map[int]bool)
	}
	c.seen[r.operation][status] = true
	return c.answer(r.operation, o, []string{"paths", template, strings.ToLower(method), "responses"}, res)
}

// locate is where a part of the document is that may be a reference.
func (c *conversation) locate(part any, at ...string) []string {
	if ref, ok := part.(map[string]any)["$ref"].(string); ok {
		return pointerNames(ref)
	}
	return at
}

func (c *conversation) answer(name string, o map[string]any, at []string, res *http.Response) map[string]any {
	c.Helper()
	responses := o["responses"].(map[string]any)
	code := strconv.Itoa(res.StatusCode)
	if responses[code] == nil {
		c.Errorf("%s: the document has no %s", name, code)
		code = "default"
	}
	at = c.locate(responses[code], append(at, code)...)
	content, _ := c.doc.follow(c.T, responses[code])["content"].(map[string]any)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.Fatal(err)
	}
	if content == nil {
		if len(b) > 0 {
			c.Errorf("%s: %d has a body that the document has not: %s", name, res.StatusCode, b)
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || content[media] == nil {
		c.Errorf("%s: %d has the content type %q", name, res.StatusCode, res.Header.Get("Content-Type"))
		return nil
	}
	if !strings.HasSuffix(media, "json") {
		return nil
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		c.Fatalf("%s: %v: %s", name, err, b)
	}
	c.doc.check(c.T, fmt.Sprintf("%s: %d", name, res.StatusCode), pointer(append(at, "content", media, "schema")...), v)
	object, _ := v.(map[string]any)
	return object
}

type object = map[string]any

func TestOpenAPIIsTrue(t *testing.T) {
	c := &conversation{T: t, server: start(t), doc: openAPI(t), seen: make(map[string]map[int]bool)}
	c.people()
	c.roomsAndMembers()
	c.messages()
	c.operation()
	for name := range operationsOf(c.doc) {
		if len(c.seen[name]) == 0 {
			t.Errorf("%s was never called", name)
		}
	}
	for name, statuses := range c.seen {
		good := slices.Collect(maps.Keys(statuses))
		if slices.Min(good) >= 400 && !strings.Contains(name, "/oauth/") {
			t.Errorf("%s never went well", name)
		}
	}
}

// join signs somebody up and returns the id and an access token.
func (c *conversation) join(name string) (id, token string) {
	c.Helper()
	c.do(201, request{operation: "POST /v1/accounts", body: object{"email": name + "@example.org", "password": password, "nickname": name}})
	s := c.do(200, request{operation: "POST /v1/sessions", body: object{"email": name + "@example.org", "password": password}})
	return s["user"].(object)["id"].(string), s["accessToken"].(string)
}

func (c *conversation) people() {
	c.Helper()
	signUp := "POST /v1/accounts"
	c.join("someone")
	_, token := c.join("anyone")
	c.do(409, request{operation: signUp, body: object{"email": "ANYONE@example.org", "password": password, "nickname": "x"}})
	c.do(422, request{operation: signUp, body: object{"email": "anyone", "password": password, "nickname": "x"}})
	c.do(400, request{operation: signUp, body: "{"})
	c.do(401, request{operation: "POST /v1/sessions", body: object{"email": "nobody@example.org", "password": password}})

	s := c.do(200, request{operation: "POST /v1/sessions", body: object{"email": "anyone@example.org", "password": password}})
	s = c.do(200, request{operation: "POST /v1/sessions/refresh", body: object{"refreshToken": s["refreshToken"]}})
	c.do(401, request{operation: "POST /v1/sessions/refresh", body: object{"refreshToken": "x.y"}})
	c.do(204, request{operation: "DELETE /v1/sessions", token: s["accessToken"].(string)})
	c.do(401, request{operation: "DELETE /v1/sessions"})

	c.do(200, request{operation: "GET /v1/me", token: token})
	c.do(401, request{operation: "GET /v1/me", token: "x"})
	c.do(200, request{operation: "PATCH /v1/me", token: token, body: object{"nickname": "앨리스"}})
	c.do(422, request{operation: "PATCH /v1/me", token: token, body: object{"nickname": ""}})

	befriend := "POST /v1/me/friends"
	c.do(202, request{operation: befriend, token: token, body: object{"email": "someone@example.org"}})
	c.do(202, request{operation: befriend, token: token, body: object{"email": "nobody@example.org"}})
	c.do(422, request{operation: befriend, token: token, body: object{"email": "anyone@example.org"}})
	friend := c.do(200, request{operation: "GET /v1/me/friends", token: token})["friends"].([]any)[0].(map[string]any)
	c.do(204, request{operation: "DELETE /v1/me/friends/{user}", path: friend["id"].(string), token: token})

	c.do(404, request{operation: "GET /v1/oauth/{provider}", path: "example"})
	c.do(404, request{operation: "GET /v1/oauth/{provider}/callback", path: "example"})
	c.do(200, request{operation: "GET /.well-known/jwks.json"})
}

func (c *conversation) roomsAndMembers() {
	c.Helper()
	_, alice := c.join("alice")
	bobID, bob := c.join("bob")
	carolID, carol := c.join("carol")

	room := c.do(201, request{operation: "POST /v1/rooms", token: alice, body: object{"name": "주간 회의"}})["id"].(string)
	c.do(422, request{operation: "POST /v1/rooms", token: alice, body: object{"name": ""}})
	c.do(200, request{operation: "GET /v1/rooms/{room}", path: room, token: alice})
	c.do(403, request{operation: "GET /v1/rooms/{room}", path: room, token: bob})
	c.do(404, request{operation: "GET /v1/rooms/{room}", path: "none", token: bob})
	c.do(200, request{operation: "PATCH /v1/rooms/{room}", path: room, token: alice, body: object{"name": "회의"}})

	c.do(200, request{operation: "PATCH /v1/rooms/{room}/me", path: room, token: alice, body: object{"notify": "mentions", "favorite": true}})
	c.do(422, request{operation: "PATCH /v1/rooms/{room}/me", path: room, token: alice, body: object{"notify": "some"}})
	c.do(403, request{operation: "PATCH /v1/rooms/{room}/me", path: room, token: bob, body: object{"favorite": true}})

	members := "POST /v1/rooms/{room}/members"
	c.do(201, request{operation: members, path: room, token: bob, body: object{}})
	c.do(200, request{operation: members, path: room, token: bob, body: object{}})
	c.do(202, request{operation: members, path: room, token: alice, body: object{"user": carolID}})
	c.do(200, request{operation: "GET /v1/me/invitations", token: carol})
	c.do(201, request{operation: members, path: room, token: carol, body: object{}})
	c.do(200, request{operation: members, path: room, token: alice, body: object{"user": carolID}})
	other := c.do(201, request{operation: "POST /v1/rooms", token: alice, body: object{"name": "다른 방"}})["id"].(string)
	c.do(201, request{operation: members, path: other, token: alice, body: object{"user": carolID}})
	c.do(404, request{operation: members, path: "none", token: bob, body: object{}})
	c.do(403, request{operation: "PATCH /v1/rooms/{room}", path: room, token: bob, body: object{"name": "x"}})
	c.do(200, request{operation: "GET /v1/rooms/{room}/members", path: room, token: carol})

	c.do(200, request{operation: "GET /v1/rooms/{room}/receipts", path: room, token: carol})
	c.do(404, request{operation: "GET /v1/rooms/{room}/receipts", path: "none", token: carol})

	one := "PATCH /v1/rooms/{room}/members/{user}"
	c.do(200, request{operation: one, path: room + " " + bobID, token: alice, body: object{"role": "moderator"}})
	c.do(422, request{operation: one, path: room + " " + bobID, token: alice, body: object{"role": "king"}})
	c.do(403, request{operation: one, path: room + " " + bobID, token: carol, body: object{"role": "owner"}})
	c.do(204, request{operation: "DELETE /v1/rooms/{room}/members/{user}", path: room + " " + carolID, token: bob})
	c.do(403, request{operation: members, path: room, token: carol, body: object{}})
	c.do(204, request{operation: "DELETE /v1/rooms/{room}/members/{user}", path: room + " " + bobID, token: bob})

	invites := "POST /v1/rooms/{room}/invitations"
	code := c.do(201, request{operation: invites, path: room, token: alice, body: object{"uses": 1, "expiresIn": 60}})["code"].(string)
	c.do(201, request{operation: invites, path: room, token: alice, body: object{}})
	c.do(422, request{operation: invites, path: room, token: alice, body: object{"uses": 0}})
	c.do(200, request{operation: "GET /v1/rooms/{room}/invitations", path: room, token: alice})
	c.do(200, request{operation: "POST /v1/invitations/{code}", path: code, token: bob})
	c.do(403, request{operation: invites, path: room, token: bob, body: object{}})
	c.do(404, request{operation: "POST /v1/invitations/{code}", path: code, token: carol})
	c.do(204, request{operation: "DELETE /v1/rooms/{room}/invitations/{code}", path: room + " " + code, token: alice})
	c.do(404, request{operation: "POST /v1/invitations/{code}", path: code, token: carol})

	c.do(201, request{operation: "POST /v1/direct", token: alice, body: object{"user": bobID}})
	c.do(200, request{operation: "POST /v1/direct", token: bob, body: object{"user": c.me(alice)}})
	c.do(404, request{operation: "POST /v1/direct", token: bob, body: object{"user": "nobody"}})
	c.do(200, request{operation: "GET /v1/rooms", token: alice})
}

func (c *conversation) me(token string) string {
	c.Helper()
	return c.do(200, request{operation: "GET /v1/me", token: token})["id"].(string)
}

func (c *conversation) messages() {
	c.Helper()
	user, token := c.join("dave")
	_, stranger := c.join("eve")
	room := c.do(201, request{operation: "POST /v1/rooms", token: token, body: object{"name": "history"}})["id"].(string)
	send := "POST /v1/events"
	event := func(id, text string) object {
		return object{
			"specversion": "1.0", "id": id, "source": "bot", "type": "dev.knatter.message.posted", "subject": room,
			"data": object{"text": text},
		}
	}
	const structured, batched = "application/cloudevents+json", "application/cloudevents-batch+json"
	c.do(202, request{operation: send, token: token, contentType: structured, body: event("1", "회의록을 공유해 주세요")})
	acks := c.do(202, request{operation: send, token: token, contentType: batched, body: []object{event("2", "東京都庁"), event("3", "we were running")}})
	c.do(202, request{operation: send, token: token, body: object{"text": "binary"}, headers: map[string]string{
		"ce-specversion": "1.0", "ce-id": "4", "ce-source": "bot", "ce-type": "dev.knatter.message.posted", "ce-subject": room,
	}})
	second := acks["acks"].([]any)[0].(object)["sequence"].(string)
	c.do(202, request{operation: send, token: token, contentType: structured, body: object{
		"specversion": "1.0", "id": "5", "source": "bot", "type": "dev.knatter.read.advanced", "subject": room, "data": object{"upTo": second},
	}})
	reply := event("6", "reply")
	reply["data"] = object{"text": "reply", "replyTo": second, "mentions": []string{user}}
	c.do(202, request{operation: send, token: token, contentType: structured, body: reply})

	c.do(400, request{operation: send, token: token, contentType: structured, body: "{}"})
	c.do(401, request{operation: send, contentType: structured, body: event("7", "x")})
	c.do(403, request{operation: send, token: stranger, contentType: structured, body: event("8", "x")})
	c.do(422, request{operation: send, token: token, contentType: structured, body: event("9", strings.Repeat("x", 4001))})

	history := "GET /v1/rooms/{room}/messages"
	got := c.do(200, request{operation: history, path: room, token: token})
	if n := len(got["messages"].([]any)); n != 5 {
		c.Errorf("%d messages, want 5", n)
	}
	got = c.do(200, request{operation: history, path: room, token: token, query: "after=" + second + "&limit=1"})
	if got["more"] != true {
		c.Errorf("got %v, want more", got)
	}
	about := func(id, typ string, data object) {
		data["message"] = second
		c.do(202, request{operation: send, token: token, contentType: structured, body: object{
			"specversion": "1.0", "id": id, "source": "bot", "type": "dev.knatter." + typ, "subject": room, "data": data,
		}})
	}
	about("10", "message.edited", object{"text": "京都", "mentions": []string{"*"}})
	about("11", "reaction.added", object{"emoji": "❤"})
	about("12", "message.pinned", object{})
	one := "GET /v1/rooms/{room}/messages/{sequence}"
	c.do(200, request{operation: one, path: room + " " + second, token: token})
	c.do(200, request{operation: "GET /v1/rooms/{room}/pins", path: room, token: token})
	c.do(200, request{operation: history, path: room, token: token, query: "around=" + second})
	about("13", "message.deleted", object{})
	c.do(200, request{operation: one, path: room + " " + second, token: token})
	c.do(404, request{operation: one, path: room + " 0999999999999999", token: token})
	c.do(403, request{operation: one, path: room + " " + second, token: stranger})
	c.do(403, request{operation: "GET /v1/rooms/{room}/pins", path: room, token: stranger})
	c.do(401, request{operation: history, path: room})
	c.do(403, request{operation: history, path: room, token: stranger})
	c.do(422, request{operation: history, path: room, token: token, query: "after=7"})
	c.do(200, request{operation: "GET /v1/rooms/{room}/events", path: room, token: token})
	c.do(403, request{operation: "GET /v1/rooms/{room}/events", path: room, token: stranger})

	// Search sees a message a moment after its ack.
	query := url.Values{"q": {"의록"}, "room": {room}, "from": {user}, "after": {"2020-01-01"}}.Encode()
	deadline := time.After(30 * time.Second)
	for tick := time.Tick(20 * time.Millisecond); ; {
		hits, _ := c.do(200, request{operation: "GET /v1/search", token: token, query: query})["hits"].([]any)
		if len(hits) == 1 {
			break
		}
		select {
		case <-tick:
		case <-deadline:
			c.Fatal("search does not find the message")
		}
	}
	c.do(422, request{operation: "GET /v1/search", token: token})
	c.do(401, request{operation: "GET /v1/search", query: "q=x"})
}

func (c *conversation) operation() {
	c.Helper()
	c.do(200, request{operation: "GET /healthz"})
	c.do(200, request{operation: "GET /readyz"})
	c.do(200, request{operation: "GET /metrics"})
	c.do(400, request{operation: "GET /v1/socket"})
	upgrade := map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	}
	c.do(400, request{operation: "GET /v1/socket", headers: upgrade})
	upgrade["Sec-WebSocket-Protocol"] = "cloudevents.json"
	c.do(101, request{operation: "GET /v1/socket", headers: upgrade})
	upgrade["Origin"] = "https://elsewhere.example"
	c.do(403, request{operation: "GET /v1/socket", headers: upgrade})
	for _, name := range []string{"/openapi.yaml", "/asyncapi.yaml"} {
		res, err := http.Get(c.url() + name)
		if err != nil {
			c.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			c.Errorf("%s: %s", name, res.Status)
		}
	}
}
