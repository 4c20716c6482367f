package chat

import "time"

// Time is a time in JSON: RFC 3339 in UTC, always with three digits of
// milliseconds, so that the order of strings is the order of times.
type Time struct{ time.Time }

// AppendText implements encoding.TextAppender.
func (t Time) AppendText(b []byte) ([]byte, error) { return appendTime(b, t.Time), nil }

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return append(appendTime([]byte{'"'}, t.Time), '"'), nil
}

// String is the time as it is in JSON.
func (t Time) String() string { return string(appendTime(nil, t.Time)) }

// appendTime appends RFC 3339 in UTC, always with milliseconds. RFC 3339 itself is
// the one layout that the library writes without interpreting it.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	dst = t.AppendFormat(dst, time.RFC3339)
	milli := t.Nanosecond() / int(time.Millisecond)
	return append(dst[:len(dst)-1], '.', byte('0'+milli/100), byte('0'+milli/10%10), byte('0'+milli%10), 'Z')
}
