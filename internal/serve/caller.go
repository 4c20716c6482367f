package serve

import (
	"context"
	"net/http"
)

// believed marks the context of a request whose caller is known.
type believed struct{}

func believe(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), believed{}, true))
}

// Believed reports whether a request's caller is the connector, so that what it
// says of the client, as in X-Forwarded-For, is so: it runs in this process, or has
// shown the secret that the function demands. Of a function that demands none,
// served by HTTP, nobody is believed.
func Believed(r *http.Request) bool { return r.Context().Value(believed{}) != nil }
