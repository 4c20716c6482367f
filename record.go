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
	for _, name := range e.extensionNames() {
		add(name, e.Extensions[name])
	}
	return append(h, Header{headerContentType, []byte("application/json")})
}

// DecodeRecord reads an event from a record of the log: structured mode when the
// content type says so, binary mode otherwise. The value is kept, not copied.
// The sequence is the caller's to set.
//
// Errors: Malformed when the record is not a CloudEvent 1.0 with JSON data.
func DecodeRecord(headers []Header, value []byte) (Event, error) {
	var r reader
	for _, h := range headers {
		name, isAttribute := strings.CutPrefix(h.Key, headerPrefix)
		if h.Key == headerContentType {
			if strings.HasPrefix(string(h.Value), cloudevents.ApplicationCloudEventsJSON) {
				return DecodeFrame(value)
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
