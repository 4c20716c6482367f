package chat_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"knatter.dev/chat"
)

func TestRecordGolden(t *testing.T) {
	e := posted(t, "hello")
	var b bytes.Buffer
	for _, h := range e.Headers() {
		fmt.Fprintf(&b, "%s: %s\n", h.Key, h.Value)
	}
	fmt.Fprintf(&b, "\n%s\n", e.Data)
	golden(t, "record.txt", b.Bytes())

	back, err := chat.DecodeRecord(e.Headers(), e.Data)
	if err != nil {
		t.Fatal(err)
	}
	back.Sequence = e.Sequence // the record's place says it
	equal(t, back, e)
}

func TestRecordStructured(t *testing.T) {
	e := posted(t, "hello")
	for _, contentType := range []string{"application/cloudevents+json", "application/cloudevents+json; charset=UTF-8", "Application/CloudEvents+JSON;charset=utf-8"} {
		back, err := chat.DecodeRecord([]chat.Header{{Key: "content-type", Value: []byte(contentType)}}, e.AppendFrame(nil))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, back, e)
	}
}

func TestRecordSparse(t *testing.T) {
	e := chat.Event{ID: "1", Source: "/x", Type: chat.RouteOpened}
	headers := slices.Insert(e.Headers(), 0, chat.Header{Key: "unrelated", Value: []byte{0xff}})
	back, err := chat.DecodeRecord(headers, nil)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, back, e)
}

func TestDecodeRecordRefuses(t *testing.T) {
	valid := map[string]string{"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/", "ce_type": "t", "content-type": "application/json"}
	for name, c := range map[string]struct {
		header, value string
		data          string
	}{
		"no specversion":   {header: "ce_specversion"},
		"old specversion":  {header: "ce_specversion", value: "0.3"},
		"no id":            {header: "ce_id"},
		"no source":        {header: "ce_source"},
		"no type":          {header: "ce_type"},
		"a wordy time":     {header: "ce_time", value: "now"},
		"text":             {header: "content-type", value: "text/plain"},
		"not UTF-8":        {header: "ce_x", value: "\xff"},
		"a line break":     {header: "ce_x", value: "a\nb"},
		"data in a header": {header: "ce_data", value: "{}"},
		"base64":           {header: "ce_data_base64", value: "e30="},
		"case of names":    {header: "ce_ID", value: "2"},
		"no JSON":          {data: "{"},
		"JSON not UTF-8":   {data: "\"\xff\""},
		"structured":       {header: "content-type", value: "application/cloudevents+json", data: "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []chat.Header
			for key, value := range valid {
				if key != c.header {
					headers = append(headers, chat.Header{Key: key, Value: []byte(value)})
				}
			}
			if c.header != "" {
				headers = append(headers, chat.Header{Key: c.header, Value: []byte(c.value)})
			}
			e, err := chat.DecodeRecord(headers, []byte(c.data))
			if chat.KindOf(err) != chat.Malformed {
				t.Errorf("got %+v, %v, want Malformed", e, err)
			}
		})
	}
}

// What others could not read is not passed on, whoever wrote it.
func TestDecodeRecordOfNoInteroperableJSON(t *testing.T) {
	for _, data := range []string{`{"text":"\ud800"}`, `{"text":"hi","attachments":[1e999]}`, `{"text":"a","text":"b"}`, strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "{\"text\":\"\ufffe\"}"} {
		e := chat.Event{ID: "1", Source: "/x", Type: chat.MessagePosted, Room: "room", Data: json.RawMessage(data)}
		if _, err := chat.DecodeRecord(e.Headers(), e.Data); chat.KindOf(err) != chat.Invalid {
			t.Errorf("binary %.40s: %v", data, err)
		}
		structured := []chat.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}}
		if _, err := chat.DecodeRecord(structured, e.AppendFrame(nil)); chat.KindOf(err) != chat.Invalid {
			t.Errorf("structured %.40s: %v", data, err)
		}
	}
}

// What a client may send must still be readable when carriers have added to it.
func TestRoomForCarriers(t *testing.T) {
	e, err := chat.NewEvent("1", "alice", chat.MessagePosted, "room", chat.Posted{Text: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	e.Extensions = make(map[string]string)
	for i := range 20 {
		e.Extensions[fmt.Sprintf("x%d", i)] = "y"
	}
	if err := chat.CheckSent(&e); err != nil {
		t.Fatal(err)
	}
	headers := append(e.Headers(),
		chat.Header{Key: "ce_knativekafkaoffset", Value: []byte("7")},
		chat.Header{Key: "ce_knativekafkapartition", Value: []byte("3")},
		chat.Header{Key: "ce_knativeerrordata", Value: []byte("none")})
	if _, err := chat.DecodeRecord(headers, e.Data); err != nil {
		t.Error(err)
	}
	for i := range 9 {
		headers = append(headers, chat.Header{Key: fmt.Sprintf("ce_y%d", i), Value: []byte("z")})
	}
	if _, err := chat.DecodeRecord(headers, e.Data); chat.KindOf(err) != chat.Invalid {
		t.Errorf("many more: got %v, want Invalid", err)
	}
}

// The three encodings carry the same event.
func TestEncodingsAgree(t *testing.T) {
	e := posted(t, `줄
바꿈 "<&>" `+"\u2028")
	ce, err := e.CloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	fromSDK, err := chat.FromCloudEvent(&ce)
	if err != nil {
		t.Fatal(err)
	}
	fromFrame, err := chat.DecodeFrame(e.AppendFrame(nil))
	if err != nil {
		t.Fatal(err)
	}
	fromRecord, err := chat.DecodeRecord(e.Headers(), e.Data)
	if err != nil {
		t.Fatal(err)
	}
	fromRecord.Sequence = e.Sequence
	for _, got := range []chat.Event{fromSDK, fromFrame, fromRecord} {
		if !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v, want %+v", got, e)
		}
		if !json.Valid(got.Data) {
			t.Errorf("data is %q", got.Data)
		}
	}
}
