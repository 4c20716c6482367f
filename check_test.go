package chat_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"knatter.dev/chat"
)

func sent(typ chat.Type, data string) chat.Event {
	return chat.Event{ID: "1", Source: "/x", Type: typ, Room: "room", Data: json.RawMessage(data)}
}

func TestCheckSentCanonicalises(t *testing.T) {
	long := strings.Repeat("가", chat.MaxText)
	for name, c := range map[string]struct {
		typ      chat.Type
		in, want string
	}{
		"plain":               {chat.MessagePosted, `{"text":"hi"}`, `{"text":"hi"}`},
		"spaces":              {chat.MessagePosted, " {\n\"text\" : \"hi\" } ", `{"text":"hi"}`},
		"unknown members":     {chat.MessagePosted, `{"text":"hi","html":"<b>hi</b>","__proto__":{}}`, `{"text":"hi"}`},
		"two texts":           {chat.MessagePosted, `{"text":"one","text":"two"}`, `{"text":"two"}`},
		"two texts by case":   {chat.MessagePosted, `{"text":"one","TEXT":"two"}`, `{"text":"one"}`},
		"escaped name":        {chat.MessagePosted, `{"\u0074ext":"hi"}`, `{"text":"hi"}`},
		"escapes":             {chat.MessagePosted, `{"text":"\u003cb\u003e\ud55c\/"}`, `{"text":"<b>한/"}`},
		"a zero character":    {chat.MessagePosted, `{"text":"a\u0000b"}`, `{"text":"a\u0000b"}`},
		"as long as may be":   {chat.MessagePosted, `{"text":"` + long + `"}`, `{"text":"` + long + `"}`},
		"reply":               {chat.MessagePosted, `{"text":"hi","replyTo":"0000000000000007"}`, `{"text":"hi","replyTo":"0000000000000007"}`},
		"reply to nothing":    {chat.MessagePosted, `{"text":"hi","replyTo":null}`, `{"text":"hi"}`},
		"mentions":            {chat.MessagePosted, `{"mentions":["bob"],"text":"hi"}`, `{"text":"hi","mentions":["bob"]}`},
		"attachments":         {chat.MessagePosted, `{"text":"hi","attachments":[ {"a": 1} ]}`, `{"text":"hi","attachments":[{"a":1}]}`},
		"read":                {chat.ReadAdvanced, `{"upTo":"0000000000000007","x":1}`, `{"upTo":"0000000000000007"}`},
		"read as far as goes": {chat.ReadAdvanced, `{"upTo":"9007199254740991"}`, `{"upTo":"9007199254740991"}`},
	} {
		t.Run(name, func(t *testing.T) {
			e := sent(c.typ, c.in)
			if err := chat.CheckSent(&e); err != nil {
				t.Fatal(err)
			}
			if string(e.Data) != c.want {
				t.Errorf("got %s, want %s", e.Data, c.want)
			}
			first := string(e.Data)
			if err := chat.CheckSent(&e); err != nil || string(e.Data) != first {
				t.Errorf("checked again: %s, %v", e.Data, err)
			}
		})
	}
}

func TestCheckSentRefuses(t *testing.T) {
	hi := `{"text":"hi"}`
	for name, c := range map[string]struct {
		event chat.Event
		want  chat.Kind
	}{
		"no data":              {sent(chat.MessagePosted, ""), chat.Invalid},
		"null":                 {sent(chat.MessagePosted, "null"), chat.Invalid},
		"an array":             {sent(chat.MessagePosted, "[]"), chat.Invalid},
		"no text":              {sent(chat.MessagePosted, "{}"), chat.Invalid},
		"text null":            {sent(chat.MessagePosted, `{"text":null}`), chat.Invalid},
		"empty text":           {sent(chat.MessagePosted, `{"text":""}`), chat.Invalid},
		"text a number":        {sent(chat.MessagePosted, `{"text":1}`), chat.Invalid},
		"a character too long": {sent(chat.MessagePosted, `{"text":"`+strings.Repeat("가", chat.MaxText+1)+`"}`), chat.Invalid},
		"reply to a number":    {sent(chat.MessagePosted, `{"text":"hi","replyTo":7}`), chat.Invalid},
		"reply to a short one": {sent(chat.MessagePosted, `{"text":"hi","replyTo":"7"}`), chat.Invalid},
		"mention of nobody":    {sent(chat.MessagePosted, `{"text":"hi","mentions":[""]}`), chat.Invalid},
		"mention with a slash": {sent(chat.MessagePosted, `{"text":"hi","mentions":["a/b"]}`), chat.Invalid},
		"attachments no array": {sent(chat.MessagePosted, `{"text":"hi","attachments":{}}`), chat.Invalid},
		"read nothing":         {sent(chat.ReadAdvanced, "{}"), chat.Invalid},
		"read up to null":      {sent(chat.ReadAdvanced, `{"upTo":null}`), chat.Invalid},
		"read up to 0":         {sent(chat.ReadAdvanced, `{"upTo":"0000000000000000"}`), chat.Invalid},
		"read below 0":         {sent(chat.ReadAdvanced, `{"upTo":"-000000000000007"}`), chat.Invalid},
		"read too far":         {sent(chat.ReadAdvanced, `{"upTo":"9007199254740992"}`), chat.Invalid},
		"an unknown type":      {sent(chat.Prefix+"message.shouted", hi), chat.Invalid},
		"another's type":       {sent("com.example.message.posted", hi), chat.Invalid},
		"a control frame":      {sent(chat.RoomSubscribe, "{}"), chat.Invalid},
		"a function's type":    {sent(chat.MemberJoined, "{}"), chat.Forbidden},
		"a connector's type":   {sent(chat.RouteOpened, `{"connector":0}`), chat.Forbidden},
		"no id":                {chat.Event{Type: chat.MessagePosted, Room: "room", Data: json.RawMessage(hi)}, chat.Invalid},
		"a long id":            {chat.Event{ID: strings.Repeat("x", 65), Type: chat.MessagePosted, Room: "room", Data: json.RawMessage(hi)}, chat.Invalid},
		"id not ASCII":         {chat.Event{ID: "é", Type: chat.MessagePosted, Room: "room", Data: json.RawMessage(hi)}, chat.Invalid},
		"no room":              {chat.Event{ID: "1", Type: chat.MessagePosted, Data: json.RawMessage(hi)}, chat.Invalid},
		"room with a slash":    {chat.Event{ID: "1", Type: chat.MessagePosted, Room: "a/b", Data: json.RawMessage(hi)}, chat.Invalid},
		"a user's own stream":  {chat.Event{ID: "1", Type: chat.MessagePosted, Room: "@alice", Data: json.RawMessage(hi)}, chat.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			e := c.event
			if err := chat.CheckSent(&e); chat.KindOf(err) != c.want {
				t.Errorf("got %v, want kind %d", err, c.want)
			}
			if !reflect.DeepEqual(e, c.event) {
				t.Errorf("the refused event was changed to %+v", e)
			}
		})
	}
}

func TestCheckSentBoundsExtensions(t *testing.T) {
	with := func(change func(*chat.Event)) *chat.Event {
		e := sent(chat.MessagePosted, `{"text":"hi"}`)
		e.Extensions = map[string]string{}
		change(&e)
		return &e
	}
	many := func(n int) func(*chat.Event) {
		return func(e *chat.Event) {
			for i := range n {
				e.Extensions[fmt.Sprintf("x%d", i)] = strings.Repeat("y", 256)
			}
		}
	}
	for name, c := range map[string]struct {
		event *chat.Event
		ok    bool
	}{
		"none":               {with(func(*chat.Event) {}), true},
		"as many as may be":  {with(many(20)), true},
		"one more":           {with(many(21)), false},
		"as long as may be":  {with(func(e *chat.Event) { e.Extensions["x"] = strings.Repeat("가", 85) + "x" }), true},
		"a byte more":        {with(func(e *chat.Event) { e.Extensions["x"] = strings.Repeat("가", 85) + "xx" }), false},
		"60 KB":              {with(func(e *chat.Event) { e.Extensions["x"] = strings.Repeat("x", 60<<10) }), false},
		"a long name":        {with(func(e *chat.Event) { e.Extensions[strings.Repeat("x", 65)] = "y" }), false},
		"a long schema":      {with(func(e *chat.Event) { e.Extensions["dataschema"] = "https://example.org/" + strings.Repeat("x", 256) }), false},
		"a long traceparent": {with(func(e *chat.Event) { e.TraceParent = strings.Repeat("0", 257) }), false},
	} {
		err := chat.CheckSent(c.event)
		if c.ok != (err == nil) || !c.ok && chat.KindOf(err) != chat.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckLogged(t *testing.T) {
	for _, c := range []struct {
		typ  chat.Type
		data string
		ok   bool
	}{
		{chat.MessagePosted, `{"text":"hi"}`, true},
		{chat.MessagePosted, ` {"text":"hi","replyTo":"0000000000000007","mentions":["bob"],"attachments":[]}`, true},
		{chat.MessagePosted, ``, false}, {chat.MessagePosted, `null`, false}, {chat.MessagePosted, `[]`, false}, {chat.MessagePosted, `"hi"`, false}, {chat.MessagePosted, `7`, false},
		{chat.MessagePosted, `{}`, false}, {chat.MessagePosted, `{"text":5}`, false}, {chat.MessagePosted, `{"text":""}`, false}, {chat.MessagePosted, `{"Text":"hi"}`, false},
		{chat.MessagePosted, `{"text":"hi","replyTo":7}`, false}, {chat.MessagePosted, `{"text":"hi","mentions":"*"}`, false}, {chat.MessagePosted, `{"text":"hi","attachments":{}}`, false},
		{chat.MessagePosted, `{"text":"` + strings.Repeat("가", chat.MaxText+1) + `"}`, false},
		{chat.ReadAdvanced, `{"upTo":"0000000000000007"}`, true}, {chat.ReadAdvanced, ``, false}, {chat.ReadAdvanced, `{}`, false}, {chat.ReadAdvanced, `{"upTo":7}`, false},
		{chat.MemberJoined, `{"user":"bob","nickname":"Bob","role":"member"}`, true}, {chat.MemberLeft, `{"user":"bob"}`, true},
		{chat.MemberJoined, ``, false}, {chat.MemberJoined, `{}`, false}, {chat.MemberRemoved, `{"user":"a b"}`, false}, {chat.MemberUpdated, `{"user":"bob","nickname":7}`, false},
		{chat.RoomCreated, `{"name":"Room","kind":"group"}`, true}, {chat.RoomUpdated, ``, false}, {chat.RoomCreated, `{"name":{}}`, false},
		{chat.RouteOpened, `{"connector":3}`, true}, {chat.RouteClosed, ``, false}, {chat.RouteOpened, `{"connector":"3"}`, false},
		{chat.SessionRevoked, `{"session":"x"}`, true}, {chat.SessionRevoked, ``, false},
		{chat.Prefix + "of.tomorrow", ``, true}, {"com.example.else", `7`, true},
	} {
		e := sent(c.typ, c.data)
		if err := chat.CheckLogged(&e); c.ok != (err == nil) || !c.ok && chat.KindOf(err) != chat.Invalid {
			t.Errorf("%s %s: %v", c.typ.Short(), c.data, err)
		}
	}
}

func TestReadMarksAreCutToTheirEvent(t *testing.T) {
	for _, c := range []struct {
		at   chat.Sequence
		upTo string
		want string
	}{
		{9, "0000000000000007", "0000000000000007"},
		{9, "0000000000000009", "0000000000000009"},
		{9, "0000000000000010", "0000000000000009"},
		{9, "9007199254740991", "0000000000000009"},
		{0, "9007199254740991", "9007199254740991"}, // it has no place yet
	} {
		e := sent(chat.ReadAdvanced, `{"upTo":"`+c.upTo+`"}`)
		e.Sequence = c.at
		if err := chat.CheckLogged(&e); err != nil || string(e.Data) != `{"upTo":"`+c.want+`"}` {
			t.Errorf("%s at %d: %s, %v; want %s", c.upTo, c.at, e.Data, err, c.want)
		}
	}
}
