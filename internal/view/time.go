package view

import "time"

// Time is a time in JSON: RFC 3339 in UTC, always with three digits of
// milliseconds, so that the order of strings is the order of times.
type Time struct{ time.Time }

const layout = "2006-01-02T15:04:05.000Z"

// AppendText implements encoding.TextAppender.
func (t Time) AppendText(b []byte) ([]byte, error) { return t.UTC().AppendFormat(b, layout), nil }

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) { return t.UTC().AppendFormat(nil, `"`+layout+`"`), nil }

// String is the time as it is in JSON.
func (t Time) String() string { return t.UTC().Format(layout) }
