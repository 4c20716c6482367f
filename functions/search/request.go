package search

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"knatter.dev/chat"
)

// Bounds of a request.
const (
	maxText      = 200 // of the query, in code points
	defaultLimit = 20
	maxLimit     = 100
)

// request is the parameters of a search.
type request struct {
	text          string
	room          chat.RoomID
	from          chat.UserID
	after, before time.Time // after is inclusive, before exclusive
	limit         int
	cursor        chat.Hit
}

// parse reads the parameters; those that it does not know are passed over.
// Errors: Invalid.
func parse(values url.Values) (request, error) {
	p := request{
		text:  values.Get("q"),
		room:  chat.RoomID(values.Get("room")),
		from:  chat.UserID(values.Get("from")),
		limit: defaultLimit,
	}
	n := utf8.RuneCountInString(p.text)
	if n == 0 || n > maxText || !utf8.ValidString(p.text) {
		return p, chat.Errorf(chat.Invalid, "q must have 1 to %d characters", maxText)
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
	var err error
	if p.after, err = parseTime("after", values.Get("after")); err != nil {
		return p, err
	}
	if p.before, err = parseTime("before", values.Get("before")); err != nil {
		return p, err
	}
	if s := values.Get("cursor"); s != "" {
		if p.cursor, err = parseCursor(s); err != nil {
			return p, err
		}
	}
	return p, nil
}

// parseTime reads an RFC 3339 time, or a date, which is its midnight in UTC. The
// zero time is no bound.
func parseTime(name, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	// The + of a zone is a space to those who forget to escape it.
	t, err := time.Parse(time.RFC3339, strings.Replace(s, " ", "+", 1))
	if err != nil {
		return t, chat.Errorf(chat.Invalid, "%s must be a date or an RFC 3339 time", name)
	}
	return t, nil
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
