package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"knatter.dev/chat"
)

func asyncAPI(t *testing.T) document {
	return load(t, "connector/api/asyncapi.yaml", jsonschema.Draft7)
}

func TestAsyncAPIIsValid(t *testing.T) {
	d := asyncAPI(t)
	d.official(t, "asyncapi-3.0.json")
	for name := range d.at(t, "#/components/schemas").(map[string]any) {
		if _, err := d.compiler.Compile("doc.json#" + pointer("components", "schemas", name)); err != nil {
			t.Error(err)
		}
	}
	for channel, address := range map[string]string{
		"socket": "/v1/socket", "rooms": chat.TopicRooms, "signals": chat.TopicSignals, "deliveries": chat.TopicDeliveries, "dead": chat.TopicDead,
	} {
		if got := d.at(t, "#/channels/"+channel+"/address"); got != address {
			t.Errorf("the channel %s has the address %v, want %s", channel, got, address)
		}
	}
	for what, c := range map[string]struct {
		got  map[string]string
		want func(chat.EventType) bool
	}{
		"logged":             {d.channel(t, "rooms"), func(row chat.EventType) bool { return !row.Signal }},
		"signalled":          {d.channel(t, "signals"), func(row chat.EventType) bool { return row.Signal }},
		"sent by clients":    {d.messages(t, "#/operations/send/messages"), func(row chat.EventType) bool { return row.Sender == chat.ByClient }},
		"shown to receivers": {d.messages(t, "#/operations/deliver/messages"), func(row chat.EventType) bool { return !row.Hidden }},
	} {
		var want []string
		for _, row := range chat.EventTypes {
			if c.want(row) {
				want = append(want, string(row.Type))
			}
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(c.got)); !slices.Equal(got, want) {
			t.Errorf("%s are %v, want %v", what, got, want)
		}
	}
}

// channel has the messages of a channel, by event type.
func (d document) channel(t *testing.T, name string) map[string]string {
	t.Helper()
	schemas := make(map[string]string)
	messages, _ := d.at(t, "#/channels/"+name).(map[string]any)["messages"].(map[string]any)
	for name := range messages {
		typ, at := d.message(t, name)
		schemas[typ] = at
	}
	return schemas
}

// message is the event type of a message, and where its schema is.
func (d document) message(t *testing.T, name string) (typ, at string) {
	t.Helper()
	payload := d.at(t, "#/components/messages/"+name+"/payload").(map[string]any)
	schema := d.follow(t, payload)
	typ, _ = schema["properties"].(map[string]any)["type"].(map[string]any)["const"].(string)
	return typ, pointer(pointerNames(payload["$ref"].(string))...)
}

// messages are those that an operation names, by event type.
func (d document) messages(t *testing.T, lists ...string) map[string]string {
	t.Helper()
	schemas := make(map[string]string)
	for _, list := range lists {
		for _, m := range d.at(t, list).([]any) {
			ref := m.(map[string]any)["$ref"].(string)
			typ, at := d.message(t, ref[strings.LastIndex(ref, "/")+1:])
			schemas[typ] = at
		}
	}
	return schemas
}

// Where the messages of either direction are named.
var (
	sentByServer = []string{
		"#/operations/openSession/reply/messages", "#/operations/subscribe/reply/messages", "#/operations/unsubscribe/reply/messages",
		"#/operations/send/reply/messages", "#/operations/deliver/messages",
	}
	sentByClient = []string{
		"#/operations/openSession/messages", "#/operations/subscribe/messages", "#/operations/unsubscribe/messages", "#/operations/send/messages",
	}
)

// socket talks WebSocket and holds every frame against the document.
type socket struct {
	*testing.T
	doc       document
	conn      *websocket.Conn
	fromUs    map[string]string
	fromThem  map[string]string
	seen      map[string]bool
	nextID    int
	sentTypes map[string]bool
}

func dial(t *testing.T, s server, token string) *socket {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"cloudevents.json"}, HandshakeTimeout: 10 * time.Second}
	conn, res, err := d.DialContext(t.Context(), "ws://"+s.listen+"/v1/socket", http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols || conn.Subprotocol() != "cloudevents.json" {
		t.Fatalf("%s, subprotocol %q", res.Status, conn.Subprotocol())
	}
	t.Cleanup(func() { _ = conn.Close() })
	doc := asyncAPI(t)
	x := &socket{
		T: t, doc: doc, conn: conn, seen: make(map[string]bool), sentTypes: make(map[string]bool),
		fromUs: doc.messages(t, sentByClient...), fromThem: doc.messages(t, sentByServer...),
	}
	x.send(chat.SessionOpen, "", object{"token": token})
	x.await(chat.SessionOpened)
	return x
}

func (x *socket) send(typ chat.Type, room string, data object) {
	x.Helper()
	x.nextID++
	frame := object{"specversion": "1.0", "id": fmt.Sprint(x.nextID), "source": "docs", "type": string(typ)}
	if data != nil {
		frame["data"] = data
	}
	if room != "" {
		frame["subject"] = room
	}
	at := x.fromUs[string(typ)]
	if at == "" {
		x.Fatalf("no operation lets a client send %s", typ)
	}
	x.doc.check(x.T, "sent", at, plain(x.T, frame))
	x.sentTypes[string(typ)] = true
	if err := x.conn.WriteJSON(frame); err != nil {
		x.Fatal(err)
	}
}

// await reads frames until one of the type, and returns its data.
func (x *socket) await(typ chat.Type) object {
	x.Helper()
	for {
		_ = x.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, b, err := x.conn.ReadMessage()
		if err != nil {
			x.Fatalf("waiting for %s: %v", typ, err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			x.Fatal(err)
		}
		frame := v.(object)
		got, _ := frame["type"].(string)
		at := x.fromThem[got]
		if at == "" {
			x.Fatalf("no operation has the server send %s", b)
		}
		x.doc.check(x.T, "received", at, v)
		x.seen[got] = true
		if got == string(typ) {
			data, _ := frame["data"].(object)
			return data
		}
	}
}

func TestAsyncAPIIsTrue(t *testing.T) {
	s := start(t)
	http := &conversation{T: t, server: s, doc: openAPI(t), seen: make(map[string]map[int]bool)}
	_, alices := http.join("alice")
	bob, bobs := http.join("bob")
	carol, carols := http.join("carol")

	room := http.do(201, request{operation: "POST /v1/rooms", token: alices, body: object{"name": "frames"}})["id"].(string)
	x := dial(t, s, alices)
	x.send(chat.RoomSubscribe, "", object{"rooms": []object{{"room": room, "after": "0000000000000000"}}})
	x.await(chat.RoomCreated)
	x.await(chat.MemberJoined)
	x.await(chat.RoomSubscribed)

	x.send(chat.MessagePosted, room, object{"text": "안녕하세요"})
	sequence := x.await(chat.Ack)["sequence"]
	x.send(chat.MessagePosted, room, object{"text": "again", "replyTo": sequence})
	x.await(chat.MessagePosted)
	x.send(chat.MessageEdited, room, object{"message": sequence, "text": "안녕!", "mentions": []string{"*"}})
	x.await(chat.MessageEdited)
	for _, typ := range []chat.Type{chat.ReactionAdded, chat.ReactionRemoved} {
		x.send(typ, room, object{"message": sequence, "emoji": "👍"})
		x.await(typ)
	}
	for _, typ := range []chat.Type{chat.MessagePinned, chat.MessageUnpinned, chat.MessageDeleted} {
		x.send(typ, room, object{"message": sequence})
		x.await(typ)
	}
	x.send(chat.ReadAdvanced, room, object{"upTo": sequence})
	x.await(chat.ReadAdvanced)
	x.send(chat.MessagePosted, "elsewhere", object{"text": "hello?"})
	if status := fmt.Sprint(x.await(chat.Refused)["status"]); status != "403" {
		t.Errorf("refused with %s", status)
	}

	other := dial(t, s, bobs)
	member := "DELETE /v1/rooms/{room}/members/{user}"
	for _, joiner := range []string{bobs, carols} {
		http.do(201, request{operation: "POST /v1/rooms/{room}/members", path: room, token: joiner, body: object{}})
		x.await(chat.MemberJoined)
	}
	other.send(chat.TypingStarted, room, nil)
	x.await(chat.TypingStarted)
	x.send(chat.TypingStarted, room, nil)
	http.do(200, request{operation: "PATCH /v1/me", token: bobs, body: object{"nickname": "Robert"}})
	x.await(chat.MemberUpdated)
	http.do(204, request{operation: member, path: room + " " + bob, token: bobs})
	x.await(chat.MemberLeft)
	http.do(204, request{operation: member, path: room + " " + carol, token: alices})
	x.await(chat.MemberRemoved)
	http.do(200, request{operation: "PATCH /v1/rooms/{room}", path: room, token: alices, body: object{"name": "frames, all of them"}})
	x.await(chat.RoomUpdated)
	x.send(chat.RoomUnsubscribe, "", object{"rooms": []object{{"room": room}}})
	x.await(chat.RoomUnsubscribed)

	for typ := range x.fromThem {
		if !x.seen[typ] {
			t.Errorf("the server never sent %s", typ)
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(x.fromUs)) {
		if !x.sentTypes[typ] {
			t.Errorf("%s was never sent", typ)
		}
	}
}

func unmarshal(t *testing.T, s string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
