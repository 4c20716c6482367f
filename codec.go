package chat

import (
	"bytes"
	"encoding/json"
	"fmt"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// DecodeFrame decodes one JSON event in structured mode, as connectors deliver it and
// stores keep it. It keeps unknown attributes. No part of the event shares memory with b.
//
// It does not use the SDK's reader, which panics on some input (a number as
// data_base64), stops at an empty member name, and quotes in its errors what it cannot
// read, message text included.
//
// Errors: Malformed if b is not a CloudEvent 1.0 with JSON data, Invalid if it has too
// many or too large extensions.
func DecodeFrame(b []byte) (Event, error) {
	if !readable(b) {
		return Event{}, Errorf(Malformed, "not JSON")
	}
	return decodeJSON(b, new(reader))
}

// DecodeSent is [DecodeFrame] for what a client sends. All of it must be interoperable;
// see [CheckJSON]. It does not check what the connector sets itself: source must be a
// non-empty string, and time, partitionkey and sequence may be anything.
//
// Errors: as DecodeFrame. With Invalid, the event has the ID that was sent, if it is
// known.
func DecodeSent(b []byte) (Event, error) {
	if err := CheckJSON(b); KindOf(err) == Invalid {
		id, noObject := sentID(b)
		if noObject != nil {
			err = noObject
		}
		return Event{ID: id}, err
	} else if err != nil {
		return Event{}, err
	}
	e, err := decodeJSON(b, &reader{sent: true})
	if err != nil {
		return Event{ID: e.ID}, err
	}
	return e, nil
}

// sentID returns the ID in a JSON frame that is not decoded any further. Errors:
// Malformed if the frame is not an object.
func sentID(b []byte) (id string, err error) {
	err = members(b, func(name string, value json.RawMessage) error {
		if name == "id" && value[0] == '"' {
			id, _ = unquote(value)
		}
		return nil
	})
	if checkID(id) != nil {
		id = ""
	}
	return id, err
}

// decodeJSON decodes a frame that is known to be JSON.
func decodeJSON(b []byte, r *reader) (Event, error) {
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

// DecodeBatch decodes a JSON array of events. Errors: as [DecodeFrame].
func DecodeBatch(b []byte) ([]Event, error) {
	frames, err := SplitBatch(b)
	if err != nil {
		return nil, err
	}
	events := make([]Event, 0, len(frames))
	for i, frame := range frames {
		e, err := DecodeFrame(frame)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// SplitBatch returns the frames in a JSON array of events without decoding them.
// Errors: Malformed.
func SplitBatch(b []byte) ([][]byte, error) {
	if scan(b, 0).malformed || b[skipSpace(b, 0)] != '[' {
		return nil, Errorf(Malformed, "not a JSON array of CloudEvents")
	}
	var frames [][]byte
	walk(b, func(_, frame []byte) { frames = append(frames, frame) })
	return frames, nil
}

// FromCloudEvent converts the SDK's event. Errors: Malformed if it is not a CloudEvent
// 1.0 with JSON data.
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

// Check checks that the event's frame decodes to the same event. Errors: Invalid.
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
	for name, value := range e.Extensions {
		if value != "" && again.Extensions[name] != value {
			return Errorf(Invalid, "an extension is not UTF-8")
		}
	}
	return nil
}

func named(s string) bool { return s != "" && path(s) }

// FrameWithin reports whether the event's frame has at most n bytes. It includes the
// sequence, even of an event that has none yet.
func (e *Event) FrameWithin(n int) bool {
	const quoted, rest = len(`\u0000`), 256 // the maximum per byte; the constant part of a frame
	most := rest + len(e.Data) + quoted*(len(e.ID)+len(e.Source)+len(e.Type)+len(e.Room)+len(e.Stream)+len(e.TraceParent))
	if most <= n && len(e.Extensions) == 0 {
		return true // as nearly all are
	}
	placed := *e
	placed.Sequence = maxSequence
	return len(placed.AppendFrame(nil)) <= n
}

// AppendFrame appends the event in structured mode, as a complete frame.
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

// CloudEvent converts the event to the SDK's.
func (e *Event) CloudEvent() (cloudevents.Event, error) {
	var ce cloudevents.Event
	err := cloudevents.ReadJson(&ce, bytes.NewReader(e.AppendFrame(nil)))
	if err != nil {
		return ce, fmt.Errorf("event %q: %w", e.ID, err)
	}
	return ce, nil
}
