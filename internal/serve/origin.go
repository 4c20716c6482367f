package serve

import (
	"fmt"
	"net/http"

	"knatter.dev/chat"
)

// OriginHeader says where in the log the events of a request were, and how far its
// sender is: a partition, and the sequences Done, From and To of a [chat.Origin].
const OriginHeader = "Knatter-Origin"

// SetOrigin sets the header for an origin, if there is one.
func SetOrigin(h http.Header, o *chat.Origin) {
	if o != nil {
		h.Set(OriginHeader, fmt.Sprintf("%d %d %d %d", o.Partition, o.Done, o.From, o.To))
	}
}

// originOf returns the origin in the headers, or nil. Errors: Malformed.
func originOf(h http.Header) (*chat.Origin, error) {
	text := h.Get(OriginHeader)
	if text == "" {
		return nil, nil
	}
	var o chat.Origin
	var more string
	n, _ := fmt.Sscan(text, &o.Partition, &o.Done, &o.From, &o.To, &more)
	if n != 4 || o.Partition < 0 || o.Done < 0 || o.From < 0 || o.To < o.From {
		return nil, chat.Errorf(chat.Malformed, "%s must be a partition and three sequences", OriginHeader)
	}
	return &o, nil
}
