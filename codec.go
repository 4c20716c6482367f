package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// The CloudEvents attributes and extensions with a field of their own in Event.
const (
	extPartitionKey = "partitionkey"
	extSequence     = "sequence"
	extTraceParent  = "traceparent"
	timeFormat      = "2006-01-02T15:04:05.000Z"
)

// maxExtensions bounds what an event may carry beside the known attributes.
const maxExtensions = 16

// DecodeFrame reads one structured-mode JSON event, as WebSocket frames, HTTP
// requests and stored events hold it. Unknown attributes are kept.
//
// Errors: Malformed when b is not a CloudEvent with JSON data.
func DecodeFrame(b []byte) (Event, error) {
	// The SDK's reader takes the data as it stands, so the whole is checked first:
	// what passes here is valid JSON to the last byte, of bounded depth.
	if !utf8.Valid(b) || !json.Valid(b) {
		return Event{}, Errorf(Malformed, "not JSON")
	}
	var ce cloudevents.Event
	if err := cloudevents.ReadJson(&ce, bytes.NewReader(b)); err != nil {
		return Event{}, Errorf(Malformed, "not a CloudEvent: %w", err)
	}
	return FromCloudEvent(&ce)
}

// DecodeBatch reads a JSON array of events. Errors: Malformed.
func DecodeBatch(b []byte) ([]Event, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, Errorf(Malformed, "not a batch of CloudEvents: %w", err)
	}
	events := make([]Event, 0, len(raw))
	for i, frame := range raw {
		e, err := DecodeFrame(frame)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// FromCloudEvent converts the SDK's event. Errors: Malformed when it is not a
// valid CloudEvent 1.0, has data other than JSON, a sequence that is none, or
// more than 16 attributes that Knatter does not know.
func FromCloudEvent(ce *cloudevents.Event) (Event, error) {
	if err := ce.Validate(); err != nil {
		return Event{}, Errorf(Malformed, "not a valid CloudEvent: %w", err)
	}
	if ce.SpecVersion() != cloudevents.CloudEventsVersionV1 {
		return Event{}, Errorf(Malformed, "specversion must be 1.0")
	}
	if ct := ce.DataContentType(); ct != "" && !isJSON(ct) {
		return Event{}, Errorf(Malformed, "datacontenttype must be JSON")
	}
	e := Event{
		ID:     ce.ID(),
		Source: ce.Source(),
		Type:   Type(ce.Type()),
		Room:   RoomID(ce.Subject()),
		Time:   ce.Time(),
		Data:   ce.Data(),
	}
	for name, value := range ce.Extensions() {
		text, err := types.Format(value)
		if err != nil {
			return Event{}, Errorf(Malformed, "attribute %s: %w", name, err)
		}
		if err := e.setExtension(name, text); err != nil {
			return Event{}, err
		}
	}
	if schema := ce.DataSchema(); schema != "" {
		if err := e.setExtension("dataschema", schema); err != nil {
			return Event{}, err
		}
	}
	if len(e.Data) > 0 && !json.Valid(e.Data) {
		return Event{}, Errorf(Malformed, "data must be JSON")
	}
	return e, nil
}

func (e *Event) setExtension(name, value string) error {
	switch name {
	case extPartitionKey:
		e.Stream = RoomID(value)
	case extSequence:
		// A client's sequence is ignored, whatever it is; the log's is set by us.
		if s, err := ParseSequence(value); err == nil {
			e.Sequence = s
		}
	case extTraceParent:
		e.TraceParent = value
	default:
		if len(e.Extensions) == maxExtensions {
			return Errorf(Malformed, "more than %d extension attributes", maxExtensions)
		}
		if e.Extensions == nil {
			e.Extensions = make(map[string]string)
		}
		e.Extensions[name] = value
	}
	return nil
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// AppendFrame appends the event in structured mode: the finished frame.
func (e *Event) AppendFrame(dst []byte) []byte {
	dst = append(dst, `{"specversion":"1.0","id":`...)
	dst = appendString(dst, e.ID)
	dst = append(dst, `,"source":`...)
	dst = appendString(dst, e.Source)
	dst = append(dst, `,"type":`...)
	dst = appendString(dst, string(e.Type))
	if e.Room != "" {
		dst = append(dst, `,"subject":`...)
		dst = appendString(dst, string(e.Room))
	}
	if !e.Time.IsZero() {
		dst = append(dst, `,"time":"`...)
		dst = e.Time.UTC().AppendFormat(dst, timeFormat)
		dst = append(dst, '"')
	}
	if e.Stream != "" {
		dst = append(dst, `,"partitionkey":`...)
		dst = appendString(dst, string(e.Stream))
	}
	if e.Sequence != 0 {
		dst = append(dst, `,"sequence":"`...)
		dst = e.Sequence.append(dst)
		dst = append(dst, '"')
	}
	if e.TraceParent != "" {
		dst = append(dst, `,"traceparent":`...)
		dst = appendString(dst, e.TraceParent)
	}
	for name, value := range e.Extensions {
		dst = append(dst, ',')
		dst = appendString(dst, name)
		dst = append(dst, ':')
		dst = appendString(dst, value)
	}
	if len(e.Data) > 0 {
		dst = append(dst, `,"datacontenttype":"application/json","data":`...)
		dst = append(dst, e.Data...)
	}
	return append(dst, '}')
}

// AppendBatch appends the events as a JSON array (application/cloudevents-batch+json).
func AppendBatch(dst []byte, events []Event) []byte {
	dst = append(dst, '[')
	for i := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = events[i].AppendFrame(dst)
	}
	return append(dst, ']')
}

func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			quoted, _ := marshal(s) // a string always marshals
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// marshal is json.Marshal without escaping for HTML: frames are not HTML, and the
// escapes would make Korean chat no safer, only longer.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// Header is one header of a Kafka record.
type Header struct {
	Key   string
	Value []byte
}

// Record headers of the CloudEvents Kafka binding, binary mode.
const (
	headerPrefix      = "ce_"
	headerContentType = "content-type"
)

// Headers are the event's attributes as record headers (CloudEvents Kafka
// binding, binary mode). The record's key is Stream, its value Data. The
// sequence is not among them: it is the record's place.
func (e *Event) Headers() []Header {
	h := make([]Header, 0, 10+len(e.Extensions))
	add := func(name, value string) {
		if value != "" {
			h = append(h, Header{headerPrefix + name, []byte(value)})
		}
	}
	add("specversion", "1.0")
	add("id", e.ID)
	add("source", e.Source)
	add("type", string(e.Type))
	add("subject", string(e.Room))
	if !e.Time.IsZero() {
		h = append(h, Header{headerPrefix + "time", e.Time.UTC().AppendFormat(nil, timeFormat)})
	}
	add(extPartitionKey, string(e.Stream))
	add(extTraceParent, e.TraceParent)
	for name, value := range e.Extensions {
		add(name, value)
	}
	return append(h, Header{headerContentType, []byte("application/json")})
}

// DecodeRecord reads an event from a record of the log: structured mode when the
// content type says so, binary mode otherwise. The value is kept, not copied.
// The sequence is the caller's to set.
//
// Errors: Malformed when the record is not a CloudEvent.
func DecodeRecord(headers []Header, value []byte) (Event, error) {
	e := Event{Data: value}
	spec := false
	for _, h := range headers {
		if h.Key == headerContentType {
			ct := string(h.Value)
			if strings.HasPrefix(ct, cloudevents.ApplicationCloudEventsJSON) {
				return DecodeFrame(value)
			}
			if !isJSON(ct) {
				return Event{}, Errorf(Malformed, "content-type must be JSON")
			}
			continue
		}
		name, ok := strings.CutPrefix(h.Key, headerPrefix)
		if !ok {
			continue
		}
		switch name {
		case "specversion":
			spec = string(h.Value) == cloudevents.CloudEventsVersionV1
		case "id":
			e.ID = string(h.Value)
		case "source":
			e.Source = string(h.Value)
		case "type":
			e.Type = Type(h.Value)
		case "subject":
			e.Room = RoomID(h.Value)
		case "time":
			t, err := time.Parse(time.RFC3339Nano, string(h.Value))
			if err != nil {
				return Event{}, Errorf(Malformed, "time: %w", err)
			}
			e.Time = t.UTC()
		default:
			if err := e.setExtension(name, string(h.Value)); err != nil {
				return Event{}, err
			}
		}
	}
	if !spec || e.ID == "" || e.Source == "" || e.Type == "" {
		return Event{}, Errorf(Malformed, "not a CloudEvent: specversion 1.0, id, source and type are required")
	}
	if len(value) > 0 && !json.Valid(value) {
		return Event{}, Errorf(Malformed, "data must be JSON")
	}
	return e, nil
}

// CloudEvent converts to the SDK's event.
func (e *Event) CloudEvent() (cloudevents.Event, error) {
	var ce cloudevents.Event
	err := cloudevents.ReadJson(&ce, bytes.NewReader(e.AppendFrame(nil)))
	if err != nil {
		return ce, fmt.Errorf("event %q: %w", e.ID, err)
	}
	return ce, nil
}
