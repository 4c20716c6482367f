package serve_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

// Attributes in headers are escaped as the HTTP binding says (3.1.3.2); what is
// escaped without need, or not at all, is read too.
func TestBinaryModeIsPercentDecoded(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                           "plain",
		"Euro%20%E2%82%AC%20%F0%9F%98%80": "Euro € 😀",
		"%ed%9a%8c%ec%9d%98":              "회의",
		"%41%7e":                          "A~",
		"100%25":                          "100%",
		"100%":                            "100%",
		"%":                               "%",
		"%zz%4":                           "%zz%4",
		"%2541":                           "%41", // once
		"회의":                              "회의",
		`"a b \"c\" \\ d"`:                `a b "c" \ d`,
		`"%41"`:                           "A",
		`"a`:                              `"a`,
		`a"b"`:                            `a"b"`,
		`"a"b"`:                           `"a"b"`,
		`"a\"`:                            `"a\"`,
		`""`:                              "",
		"%C0%A0":                          "!", // an overlong space
		"%ED%A0%80":                       "!", // a surrogate
		"%FF":                             "!",
		"%E2%82":                          "!",
		"%0A":                             "!", // no attribute has control characters
		"\xff":                            "!",
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(text))
		for name, value := range binary(map[string]string{"Ce-X": in, "Ce-Sequence": "0000000000000007"}) {
			r.Header[name] = []string{value}
		}
		events, err := serve.DecodeEvents(r)
		if want == "!" {
			if chat.KindOf(err) != chat.Malformed {
				t.Errorf("%q: %v, %v, want Malformed", in, events, err)
			}
			continue
		}
		if err != nil || events[0].Extensions["x"] != want {
			t.Errorf("%q: %v, %v, want %q", in, events, err, want)
		}
	}
}

// KafkaSource writes attributes as they are in the record.
func TestKafkaSourceEscapesNothing(t *testing.T) {
	h := new(recorder)
	w := post(serve.Events(h, nil), text, binary(map[string]string{"Ce-Id": "a%41 b", "Ce-X": `"x"`, "Ce-Knativekafkaoffset": "7"}))
	if w.Code != http.StatusNoContent || h.calls[0][0].ID != "a%41 b" || h.calls[0][0].Extensions["x"] != `"x"` {
		t.Errorf("got %d, handled %+v", w.Code, h.calls)
	}
}

func TestSetEventIsRead(t *testing.T) {
	e := event(`7 %41 "é"`)
	e.Extensions = map[string]string{"x": "100% 회의 😀", "y": "~!%2f", "dataschema": "https://example.org/a%20b"}
	r := httptest.NewRequest("POST", "/", bytes.NewReader(e.Data))
	serve.SetEvent(r, &e)
	if got := r.Header.Get("Ce-Id"); got != "7%20%2541%20%22%C3%A9%22" {
		t.Errorf("the id is written as %s", got)
	}
	events, err := serve.DecodeEvents(r)
	if err != nil || len(events) != 1 || !reflect.DeepEqual(events[0], e) {
		t.Errorf("got %+v, %v, want %+v", events, err, e)
	}
}

func FuzzHeaders(f *testing.F) {
	f.Add("1", "100% 회의", "%41")
	f.Add(`"`, `"\"`, "\u0085")
	f.Fuzz(func(t *testing.T, id, x, raw string) {
		e := event(id)
		e.Extensions = map[string]string{"x": x}
		if e.Check() != nil || strings.TrimSpace(id) == "" || x == "" {
			return
		}
		r := httptest.NewRequest("POST", "/", bytes.NewReader(e.Data))
		serve.SetEvent(r, &e)
		for name := range r.Header {
			if v := r.Header.Get(name); strings.TrimSpace(v) != v {
				t.Fatalf("%s: %q would be trimmed on its way", name, v)
			}
		}
		events, err := serve.DecodeEvents(r)
		if err != nil || !reflect.DeepEqual(events[0], e) {
			t.Fatalf("got %+v, %v, want %+v", events, err, e)
		}
		r.Body = io.NopCloser(bytes.NewReader(e.Data))
		r.Header.Set("Ce-X", raw)
		if _, err := serve.DecodeSent(r, 1<<16); err != nil && chat.KindOf(err) != chat.Malformed {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}

func TestContentTypesAreCaseInsensitive(t *testing.T) {
	e := event("1")
	frame := string(e.AppendFrame(nil))
	for contentType, body := range map[string]string{
		"Application/CloudEvents+JSON":                           frame,
		"APPLICATION/CLOUDEVENTS+JSON; Charset=UTF-8":            frame,
		"application/cloudevents+json;charset=utf-8":             frame,
		"Application/CloudEvents-Batch+JSON":                     "[" + frame + "]",
		"application/cloudevents-batch+json ; charset=\"utf-8\"": "[" + frame + "]",
		"Application/JSON":                                       text,
		"application/vnd.Chat+Json":                              text,
	} {
		h := new(recorder)
		headers := map[string]string{"Content-Type": contentType}
		if body == text {
			headers = binary(map[string]string{"Content-Type": contentType, "Ce-Sequence": "0000000000000007"})
		}
		if w := post(serve.Events(h, nil), body, headers); w.Code != http.StatusNoContent || len(h.calls) != 1 {
			t.Errorf("%s: got %d, %s", contentType, w.Code, w.Body)
		}
	}
}

// What is not such as the log has is refused before any function sees it.
func TestEventsOfOthers(t *testing.T) {
	at := map[string]string{"Ce-Knativekafkaoffset": "7"}
	for _, data := range []string{"", "null", "{}", `{"text":5}`, `{"text":"\ud800"}`, `{"text":"hi","attachments":[1e999]}`, `{"text":"a","text":"b"}`, `{"Text":"hi"}`} {
		h := new(recorder)
		if w := post(serve.Events(h, nil), data, binary(at)); w.Code != http.StatusUnprocessableEntity || len(h.calls) > 0 {
			t.Errorf("binary %s: got %d, %s", data, w.Code, w.Body)
		}
		e := event("1")
		e.Data = []byte(data)
		for contentType, body := range map[string]string{"application/cloudevents+json": string(e.AppendFrame(nil)), "application/cloudevents-batch+json": string(chat.AppendBatch(nil, []chat.Event{e}))} {
			if w := post(serve.Events(h, nil), body, map[string]string{"Content-Type": contentType}); w.Code != http.StatusUnprocessableEntity || len(h.calls) > 0 {
				t.Errorf("%s %s: got %d, %s", contentType, data, w.Code, w.Body)
			}
		}
	}
}

func TestDecodeIsExactAndInteroperable(t *testing.T) {
	var in struct{ Email, Password string }
	decode := func(body string) error {
		in.Email, in.Password = "", ""
		return serve.Decode(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(body)), &in)
	}
	if err := decode(`{"email":"a","Password":"no","PASSWORD":"no"}`); err != nil || in.Email != "a" || in.Password != "" {
		t.Errorf("%+v, %v", in, err)
	}
	for body, want := range map[string]chat.Kind{
		`{"password":"\ud800"}`: chat.Invalid, `{"password":"a","password":"b"}`: chat.Invalid, `{"x":1e999}`: chat.Invalid,
		"{\"password\":\"\xff\"}": chat.Malformed, `{"password":7}`: chat.Malformed, "": chat.Malformed, "{}x": chat.Malformed,
	} {
		if err := decode(body); err == nil || chat.KindOf(err) != want {
			t.Errorf("%s: %v, want kind %d", body, err, want)
		}
	}
}

func TestEvery429SaysWhen(t *testing.T) {
	w := httptest.NewRecorder()
	serve.Fail(w, httptest.NewRequest("GET", "/", nil), chat.Errorf(chat.TooMany, "slow down"))
	if w.Code != 429 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	w.Header().Set("Retry-After", "60")
	serve.Fail(w, httptest.NewRequest("GET", "/", nil), chat.Errorf(chat.TooMany, "slow down"))
	if got := w.Header()["Retry-After"]; len(got) != 1 || got[0] != "60" {
		t.Errorf("%v", got)
	}
	h := &recorder{fail: func([]chat.Event) error { return chat.Errorf(chat.TooMany, "slow down") }}
	if w := post(serve.Events(h, nil), text, binary(map[string]string{"Ce-Knativekafkaoffset": "7"})); w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
