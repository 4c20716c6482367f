package chat_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"knatter.dev/chat"
)

var update = flag.Bool("update", false, "write the golden files anew")

// posted is an event with every attribute set.
func posted(t testing.TB, text string) chat.Event {
	t.Helper()
	e, err := chat.NewEvent("0198c0de-7000-7000-8000-000000000001", "alice", chat.MessagePosted, "abcd-efgh-jkmn", chat.Posted{
		Text: text, ReplyTo: chat.SequenceAt(1, 41), Mentions: []chat.UserID{"bob"},
	})
	if err != nil {
		t.Fatal(err)
	}
	e.Time = time.Date(2026, 3, 1, 9, 30, 0, int(120*time.Millisecond), time.UTC)
	e.Sequence = chat.SequenceAt(1, 42)
	e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	e.Extensions = map[string]string{"botname": "weather", "anumber": "7", "dataschema": "https://example.org/schema"}
	return e
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew)\n got %s\nwant %s", path, got, want)
	}
}

func equal(t testing.TB, got, want chat.Event) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("events differ\n got %+v\nwant %+v", got, want)
	}
}

func TestFrameGolden(t *testing.T) {
	for name, e := range map[string]chat.Event{
		"frame_full.json":   posted(t, `회의록을 공유해 주세요 "<b>&</b>" 🎉`),
		"frame_sparse.json": {ID: "1", Source: "/", Type: chat.SessionOpen},
		"frame_quoted.json": {ID: `"\`, Source: "/users/앨리스", Type: chat.Ack, Data: json.RawMessage(`{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			frame := e.AppendFrame(nil)
			golden(t, name, append(frame, '\n'))
			back, err := chat.DecodeFrame(frame)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, back, e)
		})
	}
}

func TestFrameIsTheSDKsToo(t *testing.T) {
	e := posted(t, "hello")
	ce, err := e.CloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	if err := ce.Validate(); err != nil {
		t.Fatal(err)
	}
	if ce.Subject() != string(e.Room) || !ce.Time().Equal(e.Time) || ce.Extensions()["sequence"] != e.Sequence.String() {
		t.Errorf("attributes went lost: %s", ce)
	}
	back, err := chat.FromCloudEvent(&ce)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, back, e)

	sdk, err := json.Marshal(ce)
	if err != nil {
		t.Fatal(err)
	}
	back, err = chat.DecodeFrame(sdk)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, back, e)
}

func TestFromCloudEventRefuses(t *testing.T) {
	valid := func() *cloudevents.Event {
		ce := cloudevents.New()
		ce.SetID("1")
		ce.SetSource("/")
		ce.SetType("t")
		return &ce
	}
	for name, change := range map[string]func(*cloudevents.Event){
		"no id":            func(ce *cloudevents.Event) { ce.SetID("") },
		"old specversion":  func(ce *cloudevents.Event) { ce.SetSpecVersion("0.3") },
		"text":             func(ce *cloudevents.Event) { _ = ce.SetData("text/plain", "hello") },
		"JSON by name":     func(ce *cloudevents.Event) { _ = ce.SetData("application/json", []byte("{")) },
		"data not UTF-8":   func(ce *cloudevents.Event) { _ = ce.SetData("application/json", []byte("\"\xff\"")) },
		"control":          func(ce *cloudevents.Event) { ce.SetExtension("x", "a\r\nb") },
		"a year too far":   func(ce *cloudevents.Event) { ce.SetTime(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)) },
		"subject not text": func(ce *cloudevents.Event) { ce.SetSubject("\x7f") },
	} {
		t.Run(name, func(t *testing.T) {
			ce := valid()
			change(ce)
			if _, err := chat.FromCloudEvent(ce); chat.KindOf(err) != chat.Malformed {
				t.Errorf("got %v, want Malformed", err)
			}
		})
	}
	if _, err := chat.FromCloudEvent(valid()); err != nil {
		t.Error(err)
	}
}

func frame(members string) string {
	return `{"specversion":"1.0","id":"1","source":"/x","type":"dev.knatter.message.posted","subject":"room"` + members + `}`
}

func TestDecodeFrame(t *testing.T) {
	base := chat.Event{ID: "1", Source: "/x", Type: chat.MessagePosted, Room: "room"}
	with := func(change func(*chat.Event)) chat.Event {
		e := base
		change(&e)
		return e
	}
	text := with(func(e *chat.Event) { e.Data = json.RawMessage(`{"text":"hi"}`) })
	for name, c := range map[string]struct {
		in   string
		want chat.Event
	}{
		"least":             {frame(""), base},
		"null is absent":    {frame(`,"time":null,"foo":null,"sequence":null`), base},
		"empty is absent":   {frame(`,"foo":"","dataschema":""`), base},
		"data first":        {`{"data":{"text":"hi"},` + frame("")[1:], text},
		"content type last": {frame(`,"data":{"text":"hi"},"datacontenttype":"application/vnd.x+json; charset=utf-8"`), text},
		"base64":            {frame(`,"data_base64":"` + base64.StdEncoding.EncodeToString(text.Data) + `"`), text},
		"the last of two":   {frame(`,"id":"2","id":"3"`), with(func(e *chat.Event) { e.ID = "3" })},
		"escapes":           {frame(`,"i\u0064":"\u0033"`), with(func(e *chat.Event) { e.ID = "3" })},
		"time in a zone": {frame(`,"time":"2026-03-01T09:30:00.1239+09:00"`), with(func(e *chat.Event) {
			e.Time = time.Date(2026, 3, 1, 0, 30, 0, int(123*time.Millisecond), time.UTC)
		})},
		"types of extensions": {frame(`,"a":true,"b":-7,"c":"x"`), with(func(e *chat.Event) {
			e.Extensions = map[string]string{"a": "true", "b": "-7", "c": "x"}
		})},
		"no sequence is ignored": {frame(`,"sequence":"soon"`), base},
		"sequence of a number":   {frame(`,"sequence":5,"partitionkey":true`), base},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := chat.DecodeFrame([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			equal(t, got, c.want)
		})
	}
}

func TestDecodeFrameRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":              "",
		"null":                 "null",
		"an array":             "[]",
		"a number":             "1e999",
		"an empty object":      "{}",
		"cut off":              frame("")[:40],
		"more after it":        frame("") + "{}",
		"two":                  frame("") + frame(""),
		"not UTF-8":            frame(`,"data":"` + "\xff" + `"`),
		"a zero byte":          frame(`,"data":"` + "\x00" + `"`),
		"UTF-8 with a mark":    "\ufeff" + frame(""),
		"no specversion":       `{"id":"1","source":"/","type":"t"}`,
		"old specversion":      `{"specversion":"0.3","datacontentencoding":"","id":"1","source":"/","type":"t"}`,
		"specversion 1":        `{"specversion":1.0,"id":"1","source":"/","type":"t"}`,
		"no id":                `{"specversion":"1.0","source":"/","type":"t"}`,
		"blank id":             `{"specversion":"1.0","id":" ","source":"/","type":"t"}`,
		"a number as id":       `{"specversion":"1.0","id":1,"source":"/","type":"t"}`,
		"true as id":           `{"specversion":"1.0","id":true,"source":"/","type":"t"}`,
		"no source":            `{"specversion":"1.0","id":"1","type":"t"}`,
		"no type":              `{"specversion":"1.0","id":"1","source":"/"}`,
		"source no reference":  `{"specversion":"1.0","id":"1","source":"http://[","type":"t"}`,
		"id with a line break": `{"specversion":"1.0","id":"1\n","source":"/","type":"t"}`,
		"case of names":        `{"specversion":"1.0","ID":"1","id":"1","source":"/","type":"t"}`,
		"name with an accent":  frame(`,"é":"x"`),
		"an empty name":        frame(`,"":"x"`),
		"a header in it":       frame(`,"x":"a\r\nce-id: 2"`),
		"an object":            frame(`,"x":{"text":"secret"}`),
		"an array in it":       frame(`,"x":[]`),
		"a float":              frame(`,"x":1.5`),
		"a wide integer":       frame(`,"x":2147483648`),
		"a wordy time":         frame(`,"time":"yesterday"`),
		"a time of no year":    frame(`,"time":"9999-12-31T23:59:59-14:00"`),
		"schema no URI":        frame(`,"dataschema":"schema"`),
		"text":                 frame(`,"datacontenttype":"text/plain","data":"secret"`),
		"no content type":      frame(`,"datacontenttype":"json","data":"secret"`),
		"a number as base64":   frame(`,"data_base64":5`),
		"no base64":            frame(`,"data_base64":"%%"`),
		"base64 of no JSON":    frame(`,"data_base64":"eyI="`),
		"data twice":           frame(`,"data":{},"data_base64":"e30="`),
		"too deep":             frame(`,"data":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000)),
	} {
		t.Run(name, func(t *testing.T) {
			e, err := chat.DecodeFrame([]byte(in))
			if chat.KindOf(err) != chat.Malformed {
				t.Fatalf("got %+v, %v, want Malformed", e, err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes the message: %v", err)
			}
		})
	}
}

func TestDecodeSent(t *testing.T) {
	with := func(from, to string) string { return strings.Replace(frame(`,"data":{"text":"hi"}`), from, to, 1) }
	for name, c := range map[string]struct {
		in   string
		want chat.Kind // Internal: none
		id   string
	}{
		"least":                    {frame(""), chat.Internal, "1"},
		"source with a percent":    {with("/x", "100%"), chat.Internal, "1"},
		"source with a colon":      {with("/x", ":foo"), chat.Internal, "1"},
		"source of space":          {with("/x", " "), chat.Internal, "1"},
		"source of two lines":      {with("/x", `a\nb`), chat.Internal, "1"},
		"source not ASCII":         {with("/x", "앨리스"), chat.Internal, "1"},
		"no source":                {with("/x", ""), chat.Malformed, ""},
		"source a number":          {with(`"/x"`, "7"), chat.Malformed, ""},
		"source null":              {with(`"/x"`, "null"), chat.Malformed, ""},
		"time without a zone":      {frame(`,"time":"2026-03-01T09:30:00"`), chat.Internal, "1"},
		"time of words":            {frame(`,"time":"yesterday"`), chat.Internal, "1"},
		"time a number":            {frame(`,"time":1770000000`), chat.Internal, "1"},
		"time with a line break":   {frame(`,"time":"\n"`), chat.Internal, "1"},
		"time an object":           {frame(`,"time":{}`), chat.Internal, "1"},
		"sequence of an array":     {frame(`,"sequence":[1],"partitionkey":1.5`), chat.Internal, "1"},
		"many extensions":          {frame(`,"x":1,` + strings.Join(numbered(40, `"x%d":"y"`), ",")), chat.Invalid, "1"},
		"a surrogate in text":      {frame(`,"data":{"text":"\ud800"}`), chat.Invalid, "1"},
		"in an unknown member":     {frame(`,"data":{"text":"hi","more":{"x":"\udc00"}}`), chat.Invalid, "1"},
		"in an extension":          {frame(`,"x":"\ud800"`), chat.Invalid, "1"},
		"in the source":            {with("/x", `\ud800`), chat.Invalid, "1"},
		"in the id":                {strings.Replace(frame(""), `"id":"1"`, `"id":"\ud800"`, 1), chat.Invalid, ""},
		"a huge number":            {frame(`,"data":{"text":"hi","attachments":[1e999]}`), chat.Invalid, "1"},
		"a huge number, extension": {frame(`,"x":1e999`), chat.Invalid, "1"},
		"5,001 digits":             {frame(`,"data":{"text":"hi","attachments":[` + strings.Repeat("7", 5001) + `]}`), chat.Invalid, "1"},
		"5,000 levels":             {frame(`,"data":{"text":"hi","attachments":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), chat.Invalid, "1"},
		"20,000 levels":            {frame(`,"data":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)), chat.Invalid, "1"},
		"a name twice":             {frame(`,"data":{"text":"a","text":"b"}`), chat.Invalid, "1"},
		"an attribute twice":       {frame(`,"source":"/y"`), chat.Invalid, "1"},
		"an array":                 {"[1e999]", chat.Malformed, ""},
		"not JSON":                 {`{"x":"\ud800"`, chat.Malformed, ""},
		"an object as attribute":   {frame(`,"x":{}`), chat.Malformed, ""},
	} {
		e, err := chat.DecodeSent([]byte(c.in))
		if kind := chat.KindOf(err); kind != c.want || (err == nil) != (c.want == chat.Internal) || e.ID != c.id && c.want != chat.Malformed {
			t.Errorf("%s: %q, %v, want kind %d and id %q", name, e.ID, err, c.want, c.id)
		}
		if err == nil && (e.Source != "/" || !e.Time.IsZero() || e.Sequence != 0 || e.Stream != "") {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func numbered(n int, format string) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf(format, i))
	}
	return list
}

// The event must not change when the buffer that it was read from is used again.
func TestDecodeFrameKeepsNothingOfTheBuffer(t *testing.T) {
	want := posted(t, "hello")
	b := want.AppendFrame(nil)
	got, err := chat.DecodeFrame(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	equal(t, got, want)
}

func TestBatch(t *testing.T) {
	events := []chat.Event{posted(t, "one"), posted(t, "two")}
	batch := chat.AppendBatch(nil, events)
	back, err := chat.DecodeBatch(batch)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, events) {
		t.Errorf("got %+v", back)
	}
	if got := string(chat.AppendBatch(nil, nil)); got != "[]" {
		t.Errorf("the empty batch is %s", got)
	}
	if back, err := chat.DecodeBatch([]byte("[]")); err != nil || len(back) != 0 {
		t.Errorf("the empty batch is read as %v, %v", back, err)
	}
	for _, in := range []string{"", "null", "{}", "[1]", "[null]", `["x"]`, "[" + frame("") + ",{}]", "[" + frame("") + "]]"} {
		if _, err := chat.DecodeBatch([]byte(in)); chat.KindOf(err) != chat.Malformed {
			t.Errorf("%s: got %v, want Malformed", in, err)
		}
	}
}

// One event has one encoding, whatever the order of a map.
func TestEncodingIsStable(t *testing.T) {
	e := posted(t, "hello")
	first := string(e.AppendFrame(nil))
	for range 50 {
		if again := string(e.AppendFrame(nil)); again != first {
			t.Fatalf("got %s after %s", again, first)
		}
	}
}
