package serve

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"knatter.dev/chat"
)

// DecodeEvents decodes a request of the CloudEvents HTTP binding in binary, structured
// or batched mode. Errors: Malformed, TooLarge, Invalid.
//
// It does not use the SDK's reader, which panics on some headers, and on some of the
// bodies described at [chat.DecodeFrame]. In binary mode a request has the attributes
// of a log record, so the decoder for records reads them.
func DecodeEvents(r *http.Request) ([]chat.Event, error) {
	return decoding{
		frame: func(b []byte) (chat.Event, error) {
			if err := chat.CheckJSON(b); err != nil {
				return chat.Event{}, err
			}
			return chat.DecodeFrame(b)
		},
		attribute: func(_, value string) string { return value },
	}.decode(r)
}

// DecodeSent is [DecodeEvents] for what a client sends; see [chat.DecodeSent]. No event
// may be longer than limit bytes as received. Errors: as [DecodeEvents].
func DecodeSent(r *http.Request, limit int) ([]chat.Event, error) {
	return decoding{
		limit: limit,
		frame: chat.DecodeSent,
		attribute: func(name, value string) string {
			switch name {
			case "time", "partitionkey", "sequence":
				return ""
			case "source":
				return "/" // it only has to be non-empty
			}
			return value
		},
	}.decode(r)
}

// decoding holds the options for decoding a request.
type decoding struct {
	limit     int // maximum bytes of one event; 0 means no limit
	frame     func([]byte) (chat.Event, error)
	attribute func(name, value string) string // returns the value to use for an attribute; "" ignores it
}

func (d decoding) decode(r *http.Request) ([]chat.Event, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, bodyError(err)
	}
	switch mediaType(r.Header.Get("Content-Type")) {
	case cloudevents.ApplicationCloudEventsBatchJSON:
		return d.batch(body)
	case cloudevents.ApplicationCloudEventsJSON:
		return one(d.event(body, d.frame))
	}
	return one(d.event(body, func(body []byte) (chat.Event, error) { return d.binary(r.Header, body) }))
}

func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

func one(e chat.Event, err error) ([]chat.Event, error) {
	if err != nil {
		return nil, err
	}
	return []chat.Event{e}, nil
}

func (d decoding) batch(body []byte) ([]chat.Event, error) {
	frames, err := chat.SplitBatch(body)
	if err != nil {
		return nil, err
	}
	events := make([]chat.Event, 0, len(frames))
	for i, frame := range frames {
		e, err := d.event(frame, d.frame)
		if err != nil {
			return nil, about(i, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// about adds the position in its batch to an error about an event. The caller sees it.
func about(i int, err error) error {
	return chat.Errorf(chat.KindOf(err), "event %d: %w", i, err)
}

func (d decoding) event(b []byte, decode func([]byte) (chat.Event, error)) (chat.Event, error) {
	if d.limit > 0 && len(b) > d.limit {
		return chat.Event{}, chat.Errorf(chat.TooLarge, "the event is larger than %d bytes", d.limit)
	}
	return decode(b)
}

// binary decodes an event whose attributes are headers.
func (d decoding) binary(header http.Header, body []byte) (chat.Event, error) {
	headers := []chat.Header{{Key: "content-type", Value: []byte(header.Get("Content-Type"))}}
	// KafkaSource adds this attribute to those of the record, and copies all of them as
	// they are, without escaping.
	_, verbatim := header["Ce-Knativekafkaoffset"]
	for key, values := range header {
		name, ok := strings.CutPrefix(key, "Ce-")
		if name = strings.ToLower(name); !ok || len(values) == 0 || name == "datacontenttype" { // Content-Type has it
			continue
		}
		value := values[0]
		if !verbatim {
			var err error
			if value, err = unescape(value); err != nil {
				return chat.Event{}, fmt.Errorf("header %s: %w", key, err)
			}
		}
		if value != "" {
			value = d.attribute(name, value)
		}
		headers = append(headers, chat.Header{Key: "ce_" + name, Value: []byte(value)})
	}
	return chat.DecodeRecord(headers, body)
}

// unescape decodes an attribute from a header's value: it removes double quotes around
// it, and then decodes percent escapes, once (CloudEvents HTTP binding 3.1.3.2). A
// percent sign that begins no escape stands for itself, since many senders do not
// escape. Errors: Malformed if the result is not UTF-8.
func unescape(value string) (string, error) {
	value = unquote(value)
	if strings.IndexByte(value, '%') < 0 {
		return value, nil
	}
	b := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if high, low := hexDigit(value, i+1), hexDigit(value, i+2); value[i] == '%' && high >= 0 && low >= 0 {
			b = append(b, byte(high<<4|low))
			i += 2
			continue
		}
		b = append(b, value[i])
	}
	if !utf8.Valid(b) {
		return "", chat.Errorf(chat.Malformed, "percent escapes do not decode to UTF-8")
	}
	return string(b), nil
}

// hexDigit returns the value of the hexadecimal digit at i, or -1.
func hexDigit(s string, i int) int {
	if i >= len(s) {
		return -1
	}
	switch c := s[i]; {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// unquote returns the content of a quoted string (RFC 7230, 3.2.6), or value itself if
// it is not one.
func unquote(value string) string {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return value
	}
	var b strings.Builder
	for i := 1; i < len(value)-1; i++ {
		switch value[i] {
		case '"':
			return value
		case '\\':
			if i++; i == len(value)-1 { // the last quote is escaped
				return value
			}
		}
		b.WriteByte(value[i])
	}
	return b.String()
}

// SetEvent sets the headers of r to those of an event in binary mode. The caller sets
// the body to the event's data.
func SetEvent(r *http.Request, e *chat.Event) {
	for _, h := range e.Headers() {
		if name, ok := strings.CutPrefix(h.Key, "ce_"); ok {
			r.Header.Set("Ce-"+name, escape(string(h.Value)))
		} else {
			r.Header.Set(h.Key, string(h.Value))
		}
	}
	if e.Sequence != 0 {
		r.Header.Set("Ce-sequence", e.Sequence.String())
	}
}

// escape returns an attribute escaped for a header's value.
func escape(value string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(value) {
		switch c := value[i]; {
		case c <= ' ' || c > '~' || c == '"' || c == '%':
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return chat.Errorf(chat.TooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	}
	return chat.Errorf(chat.Malformed, "reading the body: %w", err)
}
