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

// Limits of the attributes that an event may have beside the known ones, as sent by a
// client, and after carriers of the log have added theirs. If they were the same, a
// client could send an event that is accepted but then too large for a function.
const (
	maxExtensions        = 20
	maxCarriedExtensions = maxExtensions + 8

	maxExtension     = 256 // maximum bytes of a client's value
	maxExtensionName = 64  // CloudEvents advises 20
)

// reader assembles an event from its attributes, in whatever form they come.
type reader struct {
	Event
	sent        bool // by a client: ignore the attributes that the connector sets
	version     string
	contentType string
	tooLarge    error // the limit that the extensions exceed; reported when the rest is known
}

// ignored reports whether the connector sets an attribute of a client's event.
func (r *reader) ignored(name string) bool {
	return r.sent && (name == "time" || name == extPartitionKey || name == extSequence)
}

// set sets one attribute. An empty value counts as absent.
func (r *reader) set(name, value string) error {
	if value == "" {
		return nil
	}
	if r.sent && name == "source" {
		value = "/" // it only has to be non-empty
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
		// A client's sequence is ignored; the log's sequence is set by us.
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

// setJSON sets one attribute of a JSON event.
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
	case 'n': // null counts as absent
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

// setTime sets the time in the form that events have. A time zone can lead to a year
// that does not have four digits, which RFC 3339 does not allow.
func (r *reader) setTime(t time.Time) error {
	t = t.UTC().Truncate(time.Millisecond)
	if t.Year() < 1 || t.Year() > 9999 {
		return Errorf(Malformed, "time must be in the years 1 to 9999")
	}
	r.Time = t
	return nil
}

// event returns the event when all attributes are set, and checks them.
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

// eventWith returns the event with data that may not be JSON. White space around the
// data is not part of it: in a frame it would be indistinguishable from the frame's
// own.
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

// path reports whether s consists of characters that any path may have, as our own
// sources do. Then it is a URI reference, and need not be parsed.
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

// mediaType returns the media type of a content type without its parameters, in lower
// case.
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

// The CloudEvents attributes and extensions that have a field in Event.
const (
	extPartitionKey = "partitionkey"
	extSequence     = "sequence"
	extTraceParent  = "traceparent"
)

const timeLength = len("2006-01-02T15:04:05.000Z")

// extensionNames is sorted, so that each event has only one encoding.
func (e *Event) extensionNames() []string {
	if len(e.Extensions) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(e.Extensions))
}

// plain reports whether s is a CloudEvents string that fits into a header: UTF-8
// without control characters.
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
