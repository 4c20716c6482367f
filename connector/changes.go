package connector

import (
	"net/http"
	"strings"

	"knatter.dev/chat"
)

// changes passes requests on to the rooms function. What of a room's settings or members
// one has changed is forgotten before it is answered: from the answer on it holds here.
type changes struct {
	http.RoundTripper
	rules *rules
}

// RoundTrip implements [http.RoundTripper].
func (c changes) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if r.Method != http.MethodPatch || err != nil || resp.StatusCode >= 300 {
		return resp, err
	}
	switch part := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/rooms/"), "/"); {
	case len(part) == 1:
		c.rules.changed(chat.RoomID(part[0]), "")
	case len(part) == 3 && part[1] == "members":
		c.rules.changed(chat.RoomID(part[0]), chat.UserID(part[2]))
	}
	return resp, err
}
