package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// The CloudEvents attributes and extensions with a field of their own in Event.
const (
	extPartitionKey = "partitionkey"
	extSequence     = "sequence"
	extTraceParent  = "traceparent"
)

const timeLength = len("2006-01-02T15:04:05.000Z")

// What an event may carry beside the known attributes: from a client, and when
// carriers of the log have added theirs. Without the difference a client could
// send an event that is accepted and then too much for a function.
const (
	maxExtensions        = 16
	maxCarriedExtensions = maxExtensions + 8
)

// DecodeFrame reads one structured-mode JSON event, as WebSocket frames, HTTP
// requests and stored events hold it. Unknown attributes are kept.
//
// The SDK's reader is not used: it panics on some input (a number as
// data_base64), stops at an empty member name, and quotes what it cannot read,
// message text included, in its errors.
//
// Errors: Malformed when b is not a CloudEvent 1.0 with JSON data.
func DecodeFrame(b []byte) (Event, error) {
	if !utf8.Valid(b) || !json.Valid(b) {
		return Event{}, Errorf(Malformed, "not JSON")
	}
	var r reader
	var encoded json.RawMessage
	err := members(b, func(name string, value json.RawMessage) error {
		switch name {
		case "data":
			r.Data = bytes.Clone(value)
		case "data_base64":
			encoded = value
		default:
			return r.setJSON(name, value)
		}
		return nil
	})
	if err != nil {
		return Event{}, err
	}
	if encoded == nil {
		return r.event()
	}
	var data []byte
	if r.Data != nil || encoded[0] != '"' || json.Unmarshal(encoded, &data) != nil {
		return Event{}, Errorf(Malformed, "data_base64 must be base64, and data absent")
	}
	return r.eventWith(data)
}

// DecodeBatch reads a JSON array of events. Errors: Malformed.
func DecodeBatch(b []byte) ([]Event, error) {
	var raw []json.RawMessage
	if json.Unmarshal(b, &raw) != nil || raw == nil {
		return nil, Errorf(Malformed, "not a JSON array of CloudEvents")
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
// CloudEvent 1.0 with JSON data.
func FromCloudEvent(ce *cloudevents.Event) (Event, error) {
	if err := ce.Validate(); err != nil {
		return Event{}, Errorf(Malformed, "not a valid CloudEvent: %w", err)
	}
	attributes := map[string]string{
		"specversion": ce.SpecVersion(), "id": ce.ID(), "source": ce.Source(), "type": ce.Type(),
		"subject": ce.Subject(), "dataschema": ce.DataSchema(), "datacontenttype": ce.DataContentType(),
	}
	for name, value := range ce.Extensions() {
		text, err := types.Format(value)
		if err != nil {
			return Event{}, Errorf(Malformed, "attribute %s has no CloudEvents type", name)
		}
		attributes[name] = text
	}
	var r reader
	for name, value := range attributes {
		if err := r.set(name, value); err != nil {
			return Event{}, err
		}
	}
	if err := r.setTime(ce.Time()); err != nil {
		return Event{}, err
	}
	return r.eventWith(ce.Data())
}

// reader puts an event together from its attributes, whatever they come in.
type reader struct {
	Event
	version     string
	contentType string
}

// set takes one attribute. An empty value is as an absent one.
func (r *reader) set(name, value string) error {
	if value == "" {
		return nil
	}
	if !plain(value) {
		return Errorf(Malformed, "an attribute has control characters or is not UTF-8")
	}
	switch name {
	case "specversion":
		r.version = value
	case "datacontenttype":
		r.contentType = value
	case "id":
		r.ID = value
	case "source":
		r.Source = value
	case "type":
		r.Type = Type(value)
	case "subject":
		r.Room = RoomID(value)
	case "time":
		t, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return Errorf(Malformed, "time must be an RFC 3339 timestamp")
		}
		return r.setTime(t)
	case extPartitionKey:
		r.Stream = RoomID(value)
	case extSequence:
		// A client's sequence is ignored, whatever it is; the log's is set by us.
		if s, err := ParseSequence(value); err == nil {
			r.Sequence = s
		}
	case extTraceParent:
		r.TraceParent = value
	default:
		return r.setExtension(name, value)
	}
	return nil
}

// setJSON takes one attribute of a JSON event.
func (r *reader) setJSON(name string, raw json.RawMessage) error {
	switch raw[0] {
	case '"':
		value, err := unquote(raw)
		if err != nil {
			return err
		}
		return r.set(name, value)
	case 'n': // null: as absent
		return nil
	case 't', 'f':
		return r.setExtension(name, string(raw))
	default:
		if _, err := strconv.ParseInt(string(raw), 10, 32); err != nil {
			return Errorf(Malformed, "an attribute must be a string, a boolean or an integer of 32 bits")
		}
		return r.setExtension(name, string(raw))
	}
}

func (r *reader) setExtension(name, value string) error {
	switch name {
	case "id", "source", "type", "subject", "time", "specversion", "datacontenttype":
		return Errorf(Malformed, "%s must be a string", name)
	case extPartitionKey, extSequence, extTraceParent:
		return nil // ignored unless it is a string
	case "data":
		return Errorf(Malformed, "data is no attribute")
	case "dataschema":
		if u, err := url.Parse(value); err != nil || !u.IsAbs() {
			return Errorf(Malformed, "dataschema must be a URI")
		}
	}
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') }) {
		return Errorf(Malformed, "attributes' names must be lower-case ASCII letters and digits")
	}
	if r.Extensions == nil {
		r.Extensions = make(map[string]string)
	}
	r.Extensions[name] = value
	if len(r.Extensions) > maxCarriedExtensions {
		return Errorf(Malformed, "more than %d extension attributes", maxCarriedExtensions)
	}
	return nil
}

// setTime takes the time as events carry it. Years beyond four digits, which a
// time zone can make, would not be RFC 3339 any more.
func (r *reader) setTime(t time.Time) error {
	t = t.UTC().Truncate(time.Millisecond)
	if t.Year() < 1 || t.Year() > 9999 {
		return Errorf(Malformed, "time must be in the years 1 to 9999")
	}
	r.Time = t
	return nil
}

// event is the whole, its attributes checked.
func (r *reader) event() (Event, error) {
	if r.version != cloudevents.CloudEventsVersionV1 {
		return Event{}, Errorf(Malformed, "specversion must be 1.0")
	}
	if blank(r.ID) || blank(r.Source) || blank(string(r.Type)) {
		return Event{}, Errorf(Malformed, "id, source and type are required")
	}
	if !path(r.Source) {
		if _, err := url.Parse(r.Source); err != nil {
			return Event{}, Errorf(Malformed, "source must be a URI reference")
		}
	}
	if r.contentType != "" && !isJSON(r.contentType) {
		return Event{}, Errorf(Malformed, "the data's content type must be JSON")
	}
	return r.Event, nil
}

// eventWith is the whole with data that is not known to be JSON yet.
func (r *reader) eventWith(data []byte) (Event, error) {
	if _, ok := onlyText(data); !ok && len(data) > 0 && (!utf8.Valid(data) || !json.Valid(data)) {
		return Event{}, Errorf(Malformed, "data must be JSON")
	}
	r.Data = data
	return r.event()
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// path tells whether s has nothing but what a path may have anyway, as our own
// sources do: a URI reference that needs no parsing.
func path(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '/', c == '-', c == '_', c == '.', c == '~':
		default:
			return false
		}
	}
	return true
}

// plain tells whether s is a CloudEvents string: UTF-8 without control
// characters, which no header could carry.
func plain(s string) bool {
	ascii := true
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
		ascii = ascii && s[i] < 0x80
	}
	return ascii || utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// unquote is the string of a valid JSON string.
func unquote(raw []byte) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// Check tells whether the event's frame can be read again, as the same event.
// Errors: Invalid.
func (e *Event) Check() error {
	year := e.Time.UTC().Year()
	if _, ok := onlyText(e.Data); ok && len(e.Extensions) == 0 && e.TraceParent == "" &&
		0 <= e.Sequence && e.Sequence <= maxSequence && 0 < year && year < 10_000 &&
		named(e.ID) && named(e.Source) && named(string(e.Type)) && named(string(e.Room)) && named(string(e.Stream)) {
		return nil // as nearly all are
	}
	again, err := DecodeFrame(e.AppendFrame(nil))
	if err != nil {
		return Errorf(Invalid, "event: %w", err)
	}
	if again.ID != e.ID || again.Source != e.Source || again.Type != e.Type || again.Stream != e.Stream || again.Sequence != e.Sequence {
		return Errorf(Invalid, "the event's extensions collide with its attributes")
	}
	return nil
}

func named(s string) bool { return s != "" && path(s) }

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
		dst = appendTime(dst, e.Time)
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
	for _, name := range e.extensionNames() {
		dst = append(dst, ',')
		dst = appendString(dst, name)
		dst = append(dst, ':')
		dst = appendString(dst, e.Extensions[name])
	}
	if len(e.Data) > 0 {
		dst = append(dst, `,"datacontenttype":"application/json","data":`...)
		dst = append(dst, e.Data...)
	}
	return append(dst, '}')
}

// extensionNames is sorted, so that one event has one encoding.
// appendTime appends RFC 3339 in UTC, always with milliseconds. RFC 3339 itself is
// the one layout that the library writes without interpreting it.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	dst = t.AppendFormat(dst, time.RFC3339)
	milli := t.Nanosecond() / int(time.Millisecond)
	return append(dst[:len(dst)-1], '.', byte('0'+milli/100), byte('0'+milli/10%10), byte('0'+milli%10), 'Z')
}

func (e *Event) extensionNames() []string {
	if len(e.Extensions) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(e.Extensions))
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

// CloudEvent converts to the SDK's event.
func (e *Event) CloudEvent() (cloudevents.Event, error) {
	var ce cloudevents.Event
	err := cloudevents.ReadJson(&ce, bytes.NewReader(e.AppendFrame(nil)))
	if err != nil {
		return ce, fmt.Errorf("event %q: %w", e.ID, err)
	}
	return ce, nil
}
