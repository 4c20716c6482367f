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
)

// What an event may carry beside the known attributes: from a client, and when
// carriers of the log have added theirs. Without the difference a client could
// send an event that is accepted and then too much for a function.
const (
	maxExtensions        = 20
	maxCarriedExtensions = maxExtensions + 8

	maxExtension     = 256 // bytes of a client's value
	maxExtensionName = 64  // CloudEvents advises 20
)

// reader puts an event together from its attributes, whatever they come in.
type reader struct {
	Event
	sent        bool // by a client: what is not the client's to say is not looked at
	version     string
	contentType string
	tooLarge    error // what the extensions exceed; said when the rest is known
}

// ignored reports whether an attribute of a client's event is the connector's to set.
func (r *reader) ignored(name string) bool {
	return r.sent && (name == "time" || name == extPartitionKey || name == extSequence)
}

// set takes one attribute. An empty value is as an absent one.
func (r *reader) set(name, value string) error {
	if value == "" {
		return nil
	}
	if r.sent && name == "source" {
		value = "/" // whatever it was, it is not empty
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
		r.Stream = StreamID(value)
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
	if r.ignored(name) {
		return nil
	}
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
	if len(r.Extensions) == maxCarriedExtensions {
		r.tooLarge = Errorf(Invalid, "more than %d extension attributes", maxCarriedExtensions)
		return nil
	}
	r.Extensions[name] = value
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
	if r.tooLarge != nil {
		return r.Event, r.tooLarge
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

// eventWith is the whole with data that is not known to be JSON yet. White space around
// it is none of it: in a frame nobody could tell it from the frame's own.
func (r *reader) eventWith(data []byte) (Event, error) {
	if inner := bytes.Trim(data, " \t\r\n"); len(inner) > 0 {
		data = inner
	}
	if len(data) > 0 {
		r.Data = data
	}
	e, err := r.event()
	if _, ok := onlyText(data); !ok && len(data) > 0 && KindOf(err) != Malformed {
		if invalid := checkJSON(data, 1); invalid != nil {
			return Event{ID: e.ID}, fmt.Errorf("data: %w", invalid)
		}
	}
	return e, err
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// path reports whether s has nothing but what a path may have anyway, as our own
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

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	if _, _, err := mime.ParseMediaType(contentType); err != nil {
		return false
	}
	media := mediaType(contentType)
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

// mediaType is what a content type says without its parameters, in lower case.
func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

func checkExtensions(e *Event) error {
	if len(e.Extensions) > maxExtensions {
		return Errorf(Invalid, "more than %d extension attributes", maxExtensions)
	}
	if len(e.TraceParent) > maxExtension {
		return Errorf(Invalid, "%s is over %d bytes", extTraceParent, maxExtension)
	}
	for name, value := range e.Extensions {
		if len(name) > maxExtensionName || len(value) > maxExtension {
			return Errorf(Invalid, "an extension attribute is over %d bytes, or its name over %d", maxExtension, maxExtensionName)
		}
	}
	return nil
}

func checkID(id string) error {
	if len(id) == 0 || len(id) > 64 {
		return Errorf(Invalid, "id must have 1 to 64 characters")
	}
	for i := range len(id) {
		if id[i] < 0x20 || id[i] > 0x7e {
			return Errorf(Invalid, "id must be printable ASCII")
		}
	}
	return nil
}

// The CloudEvents attributes and extensions with a field of their own in Event.
const (
	extPartitionKey = "partitionkey"
	extSequence     = "sequence"
	extTraceParent  = "traceparent"
)

const timeLength = len("2006-01-02T15:04:05.000Z")

// extensionNames is sorted, so that one event has one encoding.
func (e *Event) extensionNames() []string {
	if len(e.Extensions) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(e.Extensions))
}

// plain reports whether s is a CloudEvents string: UTF-8 without control
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
