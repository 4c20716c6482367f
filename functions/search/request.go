package search

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	_ "time/tzdata" // for systems without

	"knatter.dev/chat"
	"knatter.dev/chat/internal/facts"
)

// Bounds of a request.
const (
	maxText      = 200 // of the query, in code points
	defaultLimit = 20
	maxLimit     = 100
)

// request is what a search asks for.
type request struct {
	text      string   // of q, without its operators
	operators []string // as they were typed
	room      chat.RoomID
	from      chat.UserID
	senders   []string // nicknames or ids, any of which the sender has; none for all
	rooms     []string // names or ids, any of which the room has; none for all
	has       []string // all of which the message has, see [facts.Kinds]
	mentioned bool     // the caller is, or everyone
	after     time.Time
	before    time.Time // exclusive
	limit     int
	cursor    chat.Hit
}

// parse reads the parameters; those that it does not know are passed over.
// Errors: Invalid.
func parse(values url.Values) (request, error) {
	p := request{
		room:  chat.RoomID(values.Get("room")),
		from:  chat.UserID(values.Get("from")),
		limit: defaultLimit,
	}
	if p.room != "" && !p.room.Valid() {
		return p, chat.Errorf(chat.Invalid, "room must be a room's id")
	}
	if p.from != "" && !p.from.Valid() {
		return p, chat.Errorf(chat.Invalid, "from must be a user's id")
	}
	if s := values.Get("limit"); s != "" {
		limit, err := strconv.Atoi(s)
		if err != nil || limit < 1 || limit > maxLimit {
			return p, chat.Errorf(chat.Invalid, "limit must be a number from 1 to %d", maxLimit)
		}
		p.limit = limit
	}
	if s := values.Get("mentions"); s != "" && s != "me" {
		return p, chat.Errorf(chat.Invalid, `mentions must be "me"`)
	}
	p.mentioned = values.Get("mentions") != ""
	zone, err := parseZone(values.Get("tz"))
	if err != nil {
		return p, err
	}
	for _, name := range []string{"after", "before", "has"} {
		for _, value := range values[name] {
			if err := p.narrow(operator{name, value}, zone); err != nil {
				return p, err
			}
		}
	}
	if s := values.Get("cursor"); s != "" {
		if p.cursor, err = parseCursor(s); err != nil {
			return p, err
		}
	}
	return p, p.parseText(values.Get("q"), zone)
}

// parseText reads q.
func (p *request) parseText(q string, zone *time.Location) error {
	if utf8.RuneCountInString(q) > maxText || !utf8.ValidString(q) {
		return chat.Errorf(chat.Invalid, "q must have 1 to %d characters", maxText)
	}
	found, text := cutOperators(q)
	for _, o := range found {
		if err := p.narrow(o, zone); err != nil {
			return err
		}
		p.operators = append(p.operators, o.String())
	}
	p.text = text
	if text != "" || p.from != "" || len(p.senders) > 0 || len(p.has) > 0 || p.mentioned {
		return nil
	}
	if q == "" {
		return chat.Errorf(chat.Invalid, "q must have 1 to %d characters, unless from, mentions or has is there", maxText)
	}
	if strings.TrimSpace(q) != "" {
		return chat.Errorf(chat.Invalid, "q needs a word, from: or has: beside in:, before: and after:")
	}
	return nil
}

// narrow adds to the request what an operator says, or a parameter of that name. Of
// several times the narrowest counts. Errors: Invalid.
func (p *request) narrow(o operator, zone *time.Location) error {
	if o.value == "" {
		return nil
	}
	switch o.name {
	case "from":
		p.senders = append(p.senders, o.value)
	case "in":
		p.rooms = append(p.rooms, o.value)
	case "has":
		kind := strings.ToLower(o.value)
		if facts.Kinds[kind] == "" {
			return chat.Errorf(chat.Invalid, "has must be link, image or file")
		}
		p.has = append(p.has, kind)
	default:
		t, err := parseTime(o.name, o.value, zone)
		if err != nil {
			return err
		}
		if o.name == "after" && t.After(p.after) {
			p.after = t
		}
		if o.name == "before" && (p.before.IsZero() || t.Before(p.before)) {
			p.before = t
		}
	}
	return nil
}

// parseZone reads the name of a time zone.
func parseZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // which is the server's
		return nil, chat.Errorf(chat.Invalid, "tz must be the name of a time zone, such as Asia/Seoul")
	}
	return zone, nil
}

// parseTime reads an RFC 3339 time, or a date, which is the beginning of that day.
func parseTime(name, s string, zone *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return beginning(t, zone), nil
	}
	// The + of a zone is a space to those who forget to escape it.
	t, err := time.Parse(time.RFC3339, strings.Replace(s, " ", "+", 1))
	if err != nil {
		return t, chat.Errorf(chat.Invalid, "%s must be a date such as 2026-11-01, or an RFC 3339 time", name)
	}
	return t, nil
}

// beginning is when a day begins somewhere: not at midnight where the clocks are put
// forward then.
func beginning(day time.Time, zone *time.Location) time.Time {
	t := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, zone)
	if t.Day() != day.Day() {
		_, t = t.ZoneBounds()
	} else if start, _ := t.ZoneBounds(); t.Hour() > 0 && !start.IsZero() {
		t = start
	}
	return t
}

// formatCursor makes a place in the order of hits opaque: milliseconds, sequence
// and room, in base64 for URLs.
func formatCursor(h chat.Hit) string {
	s := strconv.FormatInt(h.Time.UnixMilli(), 10) + " " + h.Sequence.String() + " " + string(h.Room)
	return base64.RawURLEncoding.EncodeToString([]byte(s))
}

// parseCursor reads what formatCursor made. A cursor is a place only: whatever is
// in it, it opens no room. Errors: Invalid.
func parseCursor(s string) (chat.Hit, error) {
	errCursor := chat.Errorf(chat.Invalid, "cursor must come from an earlier answer")
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return chat.Hit{}, errCursor
	}
	parts := strings.Split(string(b), " ")
	if len(parts) != 3 {
		return chat.Hit{}, errCursor
	}
	milli, err := strconv.ParseUint(parts[0], 10, 47) // beyond the year 6400
	if err != nil {
		return chat.Hit{}, errCursor
	}
	sequence, err := chat.ParseSequence(parts[1])
	room := chat.RoomID(parts[2])
	if err != nil || !room.Valid() {
		return chat.Hit{}, errCursor
	}
	return chat.Hit{Room: room, Sequence: sequence, Time: time.UnixMilli(int64(milli)).UTC()}, nil
}
