package chat_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"knatter.dev/chat"
)

// seeds are frames that once went wrong somewhere, and some that go well.
func seeds(f *testing.F) []string {
	full, err := os.ReadFile("testdata/frame_full.json")
	if err != nil {
		f.Fatal(err)
	}
	var ofEachType []string
	for _, row := range chat.EventTypes {
		ofEachType = append(ofEachType, strings.Replace(frame(`,"subject":"room","data":`+everyMember), `"t"`, strconv.Quote(string(row.Type)), 1))
	}
	return append(ofEachType,
		string(full), frame(""), frame(`,"data":{"text":"hi","TEXT":"ho","text":"ha"}`), frame(`,"data":null`),
		frame(`,"data_base64":5`), frame(`,"data_base64":""`), frame(`,"data_base64":"e30="`), frame(`,"":1`), frame(`,"x":"\r\n"`), frame(`,"x":true,"y":-1`),
		frame(`,"time":"9999-12-31T23:59:59-14:00"`), frame(`,"sequence":"0000000000000007","partitionkey":"other"`),
		frame(`,"data":{"text":"\ud800","attachments":[{"a":"\udfff"}]}`), frame(`,"data":{"text":"`+strings.Repeat("가", 4001)+`"}`),
		frame(`,"data":`+strings.Repeat("[", 300)+strings.Repeat("]", 300)), "null", "[]", "{", "\xff",
		frame(`,"x":"\ud83d\ude00","data":{"n":[1e999,9007199254740993,0.1,-1e-400,1.00000000000000001]}`), frame(`,"time":"soon","source":":foo"`),
		frame(`,"data":{"text":"\ufffe"}`), frame(`,"data":{"Text":"a","text":"b"}`), frame(`,"data":[{"a":1,"a":2}]`),
		`{"specversion":"0.3","datacontentencoding":"","id":"1","source":"/","type":"t"}`,
	)
}

// checkEvent holds for whatever a decoder lets through.
func checkEvent(t *testing.T, e chat.Event) {
	t.Helper()
	encoded := e.AppendFrame(nil)
	if !json.Valid(encoded) || !utf8.Valid(encoded) {
		t.Fatalf("the frame is not JSON: %q", encoded)
	}
	back, err := chat.DecodeFrame(encoded)
	if err != nil {
		t.Fatalf("the frame cannot be read again: %v: %s", err, encoded)
	}
	if !reflect.DeepEqual(back, e) {
		t.Fatalf("a frame later it is another event\n got %+v\nwant %+v", back, e)
	}
	if again := back.AppendFrame(nil); !bytes.Equal(again, encoded) {
		t.Fatalf("the frame is not stable\n got %s\nwant %s", again, encoded)
	}
	if chat.CheckJSON(encoded) != nil {
		return // it can only be an old one of a store
	}
	back, err = chat.DecodeRecord(e.Headers(), e.Data)
	if err != nil {
		t.Fatalf("the record cannot be read again: %v: %s", err, encoded)
	}
	back.Sequence = e.Sequence
	if !reflect.DeepEqual(back, e) {
		t.Fatalf("a record later it is another event\n got %+v\nwant %+v", back, e)
	}
	if _, err := e.CloudEvent(); err != nil {
		t.Fatalf("the SDK cannot read it: %v: %s", err, encoded)
	}
}

func FuzzDecodeFrame(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := chat.DecodeFrame(b)
		if err != nil {
			if kind := chat.KindOf(err); kind != chat.Malformed && kind != chat.Invalid {
				t.Fatalf("%v has the kind %d", err, kind)
			}
			return
		}
		checkEvent(t, e)
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add("1", "/x", string(chat.MessagePosted), "room", "2026-03-01T09:30:00Z", "extension", "value", "application/json", []byte(`{"text":"hi"}`))
	for _, row := range chat.EventTypes {
		f.Add("1", "/x", string(row.Type), "room", "", "", "", "", []byte(everyMember))
	}
	f.Add("1", "/x", "t", "", "", "id", "2", "application/cloudevents+json", []byte(frame("")))
	f.Add("1", "/x", "t", "", "", "data", "{}", "text/plain", []byte("\xff"))
	f.Add("1", "%", "t", "\n", "0000-01-01T00:00:00+14:00", "x", "\xff", "", []byte("null"))
	f.Add("1", "/x", "t", "", "", "", "", "", []byte(" 0\n"))
	f.Fuzz(func(t *testing.T, id, source, typ, subject, when, extension, value, contentType string, data []byte) {
		e, err := chat.DecodeRecord([]chat.Header{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(id)}, {Key: "ce_source", Value: []byte(source)},
			{Key: "ce_type", Value: []byte(typ)}, {Key: "ce_subject", Value: []byte(subject)}, {Key: "ce_time", Value: []byte(when)},
			{Key: "ce_" + extension, Value: []byte(value)}, {Key: "content-type", Value: []byte(contentType)},
		}, data)
		if err != nil {
			if kind := chat.KindOf(err); kind != chat.Malformed && kind != chat.Invalid {
				t.Fatalf("%v has the kind %d", err, kind)
			}
			return
		}
		checkEvent(t, e)
	})
}

func FuzzCheckSent(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := chat.DecodeSent(b)
		if err != nil {
			if kind := chat.KindOf(err); kind != chat.Malformed && kind != chat.Invalid {
				t.Fatalf("%v has the kind %d", err, kind)
			}
			return
		}
		if chat.CheckJSON(b) != nil {
			t.Fatalf("%q is let through", b)
		}
		if err := chat.CheckSent(&e); err != nil {
			if kind := chat.KindOf(err); kind != chat.Invalid && kind != chat.Forbidden {
				t.Fatalf("%v has the kind %d", err, kind)
			}
			return
		}
		// What the connector does with an accepted event.
		e.Source, e.Stream, e.Time, e.Sequence = chat.SourceOf("alice"), e.Room.Stream(), time.UnixMilli(1_770_000_000_000).UTC(), chat.SequenceAt(1, 7)
		checkEvent(t, e)
		if err := chat.CheckLogged(&e); err != nil {
			t.Fatalf("what may be sent may not be logged: %v", err)
		}
		if n := len(e.AppendFrame(nil)); !e.FrameWithin(n) || e.FrameWithin(n-16) {
			t.Fatalf("a frame of %d bytes is within %v, within less %v", n, e.FrameWithin(n), e.FrameWithin(n-16))
		}
		before := bytes.Clone(e.Data)
		if err := chat.CheckSent(&e); err != nil || !bytes.Equal(e.Data, before) {
			t.Fatalf("checked again it is %s, %v, before %s", e.Data, err, before)
		}
	})
}
