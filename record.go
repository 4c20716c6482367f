package chat

import (
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
)

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
	// All values in one piece of memory, except those of extensions.
	values := make([]byte, 0, len("1.0")+len(e.ID)+len(e.Source)+len(e.Type)+len(e.Room)+timeLength+len(e.Stream)+len(e.TraceParent))
	add := func(key, value string) {
		if value != "" {
			start := len(values)
			values = append(values, value...)
			h = append(h, Header{key, values[start:len(values):len(values)]})
		}
	}
	add(headerPrefix+"specversion", "1.0")
	add(headerPrefix+"id", e.ID)
	add(headerPrefix+"source", e.Source)
	add(headerPrefix+"type", string(e.Type))
	add(headerPrefix+"subject", string(e.Room))
	if !e.Time.IsZero() {
		start := len(values)
		values = appendTime(values, e.Time)
		h = append(h, Header{headerPrefix + "time", values[start:len(values):len(values)]})
	}
	add(headerPrefix+extPartitionKey, string(e.Stream))
	add(headerPrefix+extTraceParent, e.TraceParent)
	for _, name := range e.extensionNames() {
		if value := e.Extensions[name]; value != "" {
			h = append(h, Header{headerPrefix + name, []byte(value)})
		}
	}
	return append(h, Header{headerContentType, []byte("application/json")})
}

// DecodeRecord reads an event from a record of the log: structured mode when the
// content type says so, binary mode otherwise. The value is kept, not copied.
// The sequence is the caller's to set.
//
// Errors: Malformed when the record is not a CloudEvent 1.0 with JSON data; Invalid
// when the data is not interoperable, see [CheckJSON], or there are too many
// extensions.
func DecodeRecord(headers []Header, value []byte) (Event, error) {
	var r reader
	for _, h := range headers {
		name, isAttribute := strings.CutPrefix(h.Key, headerPrefix)
		if h.Key == headerContentType {
			if mediaType(string(h.Value)) == cloudevents.ApplicationCloudEventsJSON {
				return decodeStructured(value)
			}
			name, isAttribute = "datacontenttype", true
		}
		if !isAttribute {
			continue
		}
		if err := r.set(name, string(h.Value)); err != nil {
			return Event{}, err
		}
	}
	return r.eventWith(value)
}

func decodeStructured(value []byte) (Event, error) {
	if err := CheckJSON(value); err != nil {
		return Event{}, err
	}
	return DecodeFrame(value)
}
